// Command broker is the embedded broker: one Kafka-protocol node, on the loopback interface unless told otherwise,
// that keeps its log in a directory. It listens, says so, and serves until SIGTERM or SIGINT.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keepEverything turns the limits in time off that hold where a topic sets none: a week for records,
// by their own timestamps (so records of last year would go at once), and a week for committed offsets.
var keepEverything = map[string]string{
	"log.retention.ms":          "-1",
	"offsets.retention.minutes": "2147483647",
}

// options are the flags.
type options struct {
	door       door
	port       int
	dataDir    string
	readyFile  string
	partitions int
	autoCreate bool
	fsync      bool
	verbose    bool
	security   security
}

func main() {
	var given options
	flag.StringVar(&given.door.host, "listen", "127.0.0.1", "`host` to listen on; 0.0.0.0 for all, then with --advertise")
	flag.StringVar(&given.door.advertised, "advertise", "",
		"`host:port` that clients are told to connect to; where it listens if not given")
	flag.IntVar(&given.port, "port", 0, "port to listen on; 0 takes a free one")
	flag.StringVar(&given.dataDir, "data-dir", "", "directory of the log (required; made if missing)")
	flag.StringVar(&given.readyFile, "ready-file", "", "file to write host:port into once the broker listens")
	flag.IntVar(&given.partitions, "partitions", 4, "partitions of a topic whose creation names no number")
	flag.BoolVar(&given.autoCreate, "auto-create", false, "create a topic when a client first asks for it")
	flag.BoolVar(&given.fsync, "fsync", false, "sync every append to the disk: survives a power loss, and is slow")
	flag.BoolVar(&given.verbose, "verbose", false, "log the broker's own warnings to stderr")
	flag.StringVar(&given.security.certificate, "tls-cert", "", "certificate `file`, PEM: clients must speak TLS")
	flag.StringVar(&given.security.key, "tls-key", "", "its key `file`, PEM")
	flag.StringVar(&given.security.user, "user", "", "`name` that clients must log in with by SASL; password in "+passwordVariable)
	flag.StringVar(&given.security.mechanism, "mechanism", "SCRAM-SHA-512", "of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	flag.Parse()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := serve(&given, stop); err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

// serve runs the broker until stop.
func serve(given *options, stop <-chan os.Signal) error {
	if given.dataDir == "" || flag.NArg() > 0 {
		return errors.New("give --data-dir, and flags only")
	}
	if err := given.door.check(); err != nil {
		return err
	}
	opts, err := given.security.options()
	if err != nil {
		return err
	}
	unlock, err := lock(given.dataDir)
	if err != nil {
		return err
	}
	defer unlock()

	opts = append(opts,
		kfake.Ports(given.port),
		kfake.ListenFn(given.door.listen),
		kfake.ClusterID("skewless"),
		kfake.DefaultNumPartitions(given.partitions),
		kfake.DataDir(given.dataDir),
		kfake.BrokerConfigs(keepEverything),
	)
	if given.autoCreate {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	if given.fsync {
		opts = append(opts, kfake.SyncWrites())
	}
	if given.verbose {
		opts = append(opts, kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)))
	}
	if err := restoreSequences(given.dataDir); err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if err := forgetSequences(given.dataDir); err != nil {
		return err
	}
	cluster.ControlKey(int16(kmsg.Produce), stampAppendTime(cluster))

	if given.readyFile != "" {
		if err := writeAtomically(given.readyFile, given.door.bound+"\n"); err != nil {
			return err
		}
	}
	fmt.Println("ready", given.door.bound)

	<-stop
	return nil
}

// lock keeps a second broker out of the directory: two writers would destroy the log. The lock goes
// with the process, however it ends.
func lock(dataDir string) (unlock func(), err error) {
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dataDir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another broker serves %s; stop it or give another --data-dir", dataDir)
	}
	return func() { file.Close() }, nil
}

// writeAtomically never shows a reader half a file.
func writeAtomically(path, text string) error {
	partial := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(partial, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(partial, path)
}
