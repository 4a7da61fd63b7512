package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
)

// passwordVariable holds the password of --user, so that it is in no list of processes.
const passwordVariable = "BROKER_PASSWORD"

// security is what clients have to bring: nothing, unless told otherwise.
type security struct {
	certificate string
	key         string
	user        string
	mechanism   string
}

// options are those of the broker.
func (s *security) options() ([]kfake.Opt, error) {
	var opts []kfake.Opt
	if (s.certificate == "") != (s.key == "") {
		return nil, errors.New("give --tls-cert and --tls-key, or none of them")
	}
	if s.certificate != "" {
		pair, err := tls.LoadX509KeyPair(s.certificate, s.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	}
	if s.user != "" {
		password := os.Getenv(passwordVariable)
		if password == "" {
			return nil, fmt.Errorf("--user %s: set %s to the password", s.user, passwordVariable)
		}
		switch s.mechanism {
		case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		default:
			return nil, fmt.Errorf("--mechanism %s: give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.mechanism)
		}
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser(s.mechanism, s.user, password))
	}
	return opts, nil
}
