package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// running starts a broker that ends with the test, and returns the address it wrote into its ready file.
func running(t *testing.T, at door, port int) string {
	t.Helper()
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	stop, ended := make(chan os.Signal, 1), make(chan error, 1)
	given := options{door: at, port: port, dataDir: filepath.Join(dir, "data"), readyFile: ready, partitions: 1}
	go func() { ended <- serve(&given, stop) }()
	t.Cleanup(func() {
		stop <- syscall.SIGTERM
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for range 500 {
		if text, err := os.ReadFile(ready); err == nil {
			return strings.TrimSpace(string(text))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not ready after 5 s")
	return ""
}

// told asks a broker where its clients shall connect.
func told(t *testing.T, address string) (host string, port int32) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	answer, err := request.RequestWith(context.Background(), client.SeedBrokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Brokers) != 1 {
		t.Fatalf("%d brokers", len(answer.Brokers))
	}
	return answer.Brokers[0].Host, answer.Brokers[0].Port
}

func TestClientsAreToldWhereItListensUnlessAnotherAddressIsAdvertised(t *testing.T) {
	for name, at := range map[string]struct {
		door door
		want string
	}{
		"loopback, as without flags": {door{host: "127.0.0.1"}, ""},
		"another address":            {door{host: "127.0.0.2"}, ""},
		"a service's name": {
			door{host: "0.0.0.0", advertised: "mesh-kafka.shop.svc:9092"}, "mesh-kafka.shop.svc:9092",
		},
		"IPv6": {door{host: "127.0.0.1", advertised: "[fd00::9]:9092"}, "[fd00::9]:9092"},
	} {
		t.Run(name, func(t *testing.T) {
			bound := running(t, at.door, 0)
			_, port, err := net.SplitHostPort(bound)
			if err != nil || port == "0" {
				t.Fatalf("ready file says %q", bound)
			}
			reachable, want := bound, at.want
			if at.door.host == "0.0.0.0" {
				reachable = net.JoinHostPort("127.0.0.3", port)
			}
			if want == "" {
				want = bound
			}
			host, number := told(t, reachable)
			if got := net.JoinHostPort(host, strconv.Itoa(int(number))); got != want {
				t.Errorf("clients are told %s, want %s", got, want)
			}
		})
	}
}

func TestAClientWorksThroughTheAdvertisedAddress(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.4:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	advertised := net.JoinHostPort("127.0.0.4", strconv.Itoa(port))
	running(t, door{host: "0.0.0.0", advertised: advertised}, port)

	client, err := kgo.NewClient(
		kgo.SeedBrokers(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))), kgo.ConsumeTopics("words"),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "words", 1, 1
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "words", Value: []byte("hello")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetched := client.PollFetches(ctx)
	if err := fetched.Err(); err != nil {
		t.Fatal(err)
	}
	if records := fetched.Records(); len(records) != 1 || string(records[0].Value) != "hello" {
		t.Errorf("got %v", records)
	}
}

func TestAddressesThatCannotWorkAreRefusedWithWhatToWrite(t *testing.T) {
	for _, at := range []struct {
		door door
		want string
	}{
		{door{host: ""}, "--listen is empty"},
		{door{host: "0.0.0.0"}, "--listen 0.0.0.0 needs --advertise HOST:PORT"},
		{door{host: "::"}, "--listen :: needs --advertise HOST:PORT"},
		{door{host: "127.0.0.1", advertised: "kafka"}, `--advertise "kafka" is not HOST:PORT`},
		{door{host: "127.0.0.1", advertised: ":9092"}, `--advertise ":9092" is not HOST:PORT`},
		{door{host: "127.0.0.1", advertised: "kafka:0"}, "a port from 1 to 65535"},
		{door{host: "127.0.0.1", advertised: "kafka:65536"}, "a port from 1 to 65535"},
		{door{host: "127.0.0.1", advertised: "kafka:http"}, "a port from 1 to 65535"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		err := serve(&options{door: at.door, dataDir: dir}, nil)
		if err == nil || !strings.Contains(err.Error(), at.want) {
			t.Errorf("%+v: %v, want %q", at.door, err, at.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: left a directory", at.door)
		}
	}
}
