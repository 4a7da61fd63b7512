package main

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	batchHeader   = 12 // first offset and length, before the bytes that the length counts
	controlBit    = 0x0020
	sequencesFile = "seq_windows.json"
)

// A sequenceWindow is what kfake remembers of one idempotent producer on one partition: the last five
// batches and the next sequence number. The names are those of kfake's file.
type sequenceWindow struct {
	Producer  int64            `json:"pid"`
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Entries   [5]sequenceEntry `json:"entries"`
	Count     uint8            `json:"count"`
	At        uint8            `json:"at"`
	Epoch     int16            `json:"epoch"`
	Seen      bool             `json:"seen"`
	Next      int32            `json:"next_seq"`
}

type sequenceEntry struct {
	First  int32 `json:"first_seq"`
	Next   int32 `json:"next_seq"`
	Offset int64 `json:"offset"`
}

// restoreSequences writes kfake's sequence file anew from the log when the last broker was killed.
// kfake writes that file only when it stops in order; without it a producer's repeated batch would be
// stored twice, with an old one the producer's next batch would be refused. See forgetSequences.
func restoreSequences(dataDir string) error {
	path := filepath.Join(dataDir, sequencesFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	segments, err := filepath.Glob(filepath.Join(dataDir, "partitions", "*", "*.dat"))
	if err != nil || len(segments) == 0 {
		return err
	}
	slices.SortFunc(segments, func(a, b string) int { return cmp.Compare(baseOffset(a), baseOffset(b)) })

	windows := map[sequenceKey]*sequenceWindow{}
	for _, segment := range segments {
		if err := readSequences(segment, windows); err != nil {
			return err
		}
	}
	list := make([]*sequenceWindow, 0, len(windows))
	for _, window := range windows {
		list = append(list, window)
	}
	text, err := json.Marshal(map[string]any{"version": 1, "windows": list})
	if err != nil {
		return err
	}
	return writeAtomically(path, string(text))
}

// forgetSequences removes the file that kfake has read: found at the next start, it is from an orderly
// stop.
func forgetSequences(dataDir string) error {
	err := os.Remove(filepath.Join(dataDir, sequencesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

type sequenceKey struct {
	producer  int64
	directory string
}

// readSequences adds the batches of one segment up to the first damaged one, where kfake cuts it too.
func readSequences(segment string, windows map[sequenceKey]*sequenceWindow) error {
	directory := filepath.Dir(segment)
	name := filepath.Base(directory) // topic-partition
	dash := max(strings.LastIndexByte(name, '-'), 0)
	topic, err := url.PathUnescape(name[:dash])
	if err != nil {
		return err
	}
	partition, err := strconv.ParseInt(name[dash+1:], 10, 32)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(segment)
	if err != nil {
		return err
	}
	for len(raw) >= batchHeader {
		size := batchHeader + int64(binary.BigEndian.Uint32(raw[8:]))
		if size > int64(len(raw)) {
			break
		}
		var batch kmsg.RecordBatch
		err := batch.ReadFrom(raw[:size])
		if err != nil || batch.CRC != int32(crc32.Checksum(raw[checksummedFrom:size], castagnoli)) {
			break
		}
		raw = raw[size:]
		if batch.ProducerID < 0 || batch.Attributes&controlBit != 0 {
			continue
		}
		key := sequenceKey{batch.ProducerID, directory}
		window := windows[key]
		if window == nil || window.Epoch != batch.ProducerEpoch {
			window = &sequenceWindow{
				Producer: batch.ProducerID, Topic: topic, Partition: int32(partition),
				Epoch: batch.ProducerEpoch, Seen: true,
			}
			windows[key] = window
		}
		window.add(&batch)
	}
	return nil
}

func (w *sequenceWindow) add(batch *kmsg.RecordBatch) {
	w.Next = int32((int64(batch.FirstSequence) + int64(batch.NumRecords)) % math.MaxInt32)
	w.Entries[w.At] = sequenceEntry{batch.FirstSequence, w.Next, batch.FirstOffset}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
}

func baseOffset(segment string) int64 {
	offset, _ := strconv.ParseInt(strings.TrimSuffix(filepath.Base(segment), ".dat"), 10, 64)
	return offset
}
