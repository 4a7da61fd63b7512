// Command broker is the embedded broker: one Kafka-protocol node on the loopback interface that keeps
// its log in a directory. It listens, says so, and serves until SIGTERM or SIGINT.
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

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	dataDir := flag.String("data-dir", "", "directory of the log (required; made if missing)")
	readyFile := flag.String("ready-file", "", "file to write host:port into once the broker listens")
	partitions := flag.Int("partitions", 4, "partitions of a topic whose creation names no number")
	autoCreate := flag.Bool("auto-create", false, "create a topic when a client first asks for it")
	fsync := flag.Bool("fsync", false, "sync every append to the disk: survives a power loss, and is slow")
	verbose := flag.Bool("verbose", false, "log the broker's own warnings to stderr")
	flag.Parse()

	if err := serve(*port, *dataDir, *readyFile, *partitions, *autoCreate, *fsync, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

func serve(port int, dataDir, readyFile string, partitions int, autoCreate, fsync, verbose bool) error {
	if dataDir == "" || flag.NArg() > 0 {
		return errors.New("give --data-dir, and flags only")
	}
	unlock, err := lock(dataDir)
	if err != nil {
		return err
	}
	defer unlock()

	options := []kfake.Opt{
		kfake.Ports(port),
		kfake.ClusterID("skewless"),
		kfake.DefaultNumPartitions(partitions),
		kfake.DataDir(dataDir),
		kfake.BrokerConfigs(keepEverything),
	}
	if autoCreate {
		options = append(options, kfake.AllowAutoTopicCreation())
	}
	if fsync {
		options = append(options, kfake.SyncWrites())
	}
	if verbose {
		options = append(options, kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)))
	}
	if err := restoreSequences(dataDir); err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if err := forgetSequences(dataDir); err != nil {
		return err
	}
	cluster.ControlKey(int16(kmsg.Produce), stampAppendTime(cluster))

	address := cluster.ListenAddrs()[0]
	if readyFile != "" {
		if err := writeAtomically(readyFile, address+"\n"); err != nil {
			return err
		}
	}
	fmt.Println("ready", address)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
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
