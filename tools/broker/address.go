package main

import (
	"fmt"
	"net"
	"strconv"
)

// A door is where the broker listens and where it tells clients to connect.
type door struct {
	host       string // to listen on
	advertised string // host:port that clients are told; empty: where it listens

	bound string // host:port, once it listens
}

// check says what is wrong with what was asked for.
func (d *door) check() error {
	if d.host == "" {
		return fmt.Errorf("--listen is empty; give an address of this machine, or 0.0.0.0 for all")
	}
	if d.advertised == "" {
		if ip := net.ParseIP(d.host); ip != nil && ip.IsUnspecified() {
			return fmt.Errorf("--listen %s needs --advertise HOST:PORT: clients must be told where to connect", d.host)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(d.advertised)
	number, notNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || notNumber != nil || number == 0 {
		return fmt.Errorf("--advertise %q is not HOST:PORT with a port from 1 to 65535", d.advertised)
	}
	return nil
}

// listen opens the door on the port of an address; kfake, which gives it, knows 127.0.0.1 only.
func (d *door) listen(network, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen(network, net.JoinHostPort(d.host, port))
	if err != nil {
		return nil, err
	}
	d.bound = listener.Addr().String()
	if d.advertised == "" {
		return listener, nil
	}
	return advertisedListener{listener, d.advertised}, nil
}

// An advertisedListener goes by another address: kfake tells clients what Addr returns.
type advertisedListener struct {
	net.Listener
	address string
}

func (l advertisedListener) Addr() net.Addr { return advertisedAddress(l.address) }

type advertisedAddress string

func (a advertisedAddress) Network() string { return "tcp" }
func (a advertisedAddress) String() string  { return string(a) }
