package main

import (
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batchOf makes a batch of three records, two milliseconds apart, in the codec asked for.
func batchOf(t *testing.T, codec kgo.CompressionCodecType, sequence int32, offset int64) []byte {
	t.Helper()
	var records []byte
	for i := range int64(3) {
		record := kmsg.Record{
			TimestampDelta64: 2 * i, OffsetDelta: int32(i), Key: []byte("key"), Value: []byte("value"),
			Headers: []kmsg.Header{{Key: "name", Value: []byte("text")}},
		}
		record.Length = int32(len(record.AppendTo(nil)) - 1) // less its own byte
		records = record.AppendTo(records)
	}
	compressed, err := compress(records, codec)
	if err != nil {
		t.Fatal(err)
	}
	batch := kmsg.RecordBatch{
		FirstOffset: offset, Length: int32(49 + len(compressed)), Magic: 2, Attributes: int16(codec),
		LastOffsetDelta: 2, FirstTimestamp: 1000, MaxTimestamp: 1004, ProducerID: 7, ProducerEpoch: 1,
		FirstSequence: sequence, NumRecords: 3, Records: compressed,
	}
	batch.CRC = int32(crc32.Checksum(batch.AppendTo(nil)[checksummedFrom:], castagnoli))
	return batch.AppendTo(nil)
}

func TestStampedRecordsKeepEverythingButTheirTime(t *testing.T) {
	for codec := kgo.CodecNone; codec <= kgo.CodecZstd; codec++ {
		stamped, err := stampBatch(batchOf(t, codec, 0, 0), 5000)
		if err != nil {
			t.Fatal(err)
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(stamped); err != nil {
			t.Fatal(err)
		}
		if batch.CRC != int32(crc32.Checksum(stamped[checksummedFrom:], castagnoli)) ||
			int(batch.Length) != len(stamped)-batchHeader ||
			batch.Attributes != int16(codec) || batch.FirstSequence != 0 || batch.ProducerID != 7 {
			t.Errorf("codec %d: wrong header %+v", codec, batch)
		}
		if batch.FirstTimestamp != 5000 || batch.MaxTimestamp != 5000 {
			t.Errorf("codec %d: times %d to %d", codec, batch.FirstTimestamp, batch.MaxTimestamp)
		}
		rest, err := decompressor.Decompress(batch.Records, codec)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int32(3) {
			var record kmsg.Record
			if err := record.ReadFrom(rest); err != nil {
				t.Fatal(err)
			}
			if record.TimestampDelta64 != 0 || record.OffsetDelta != i || string(record.Key) != "key" ||
				string(record.Value) != "value" || string(record.Headers[0].Value) != "text" {
				t.Errorf("codec %d: record %d is %+v", codec, i, record)
			}
			rest = rest[1+record.Length:]
		}
	}
}

func TestDamagedBatchesAreNotStamped(t *testing.T) {
	whole := batchOf(t, kgo.CodecLz4, 0, 0)
	for at := range whole {
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 0xff
		_, err := stampBatch(damaged, 5000)
		if at >= 17 && err == nil { // what stands before the checksum is for the broker to judge
			t.Errorf("byte %d: accepted", at)
		}
		if _, err := stampBatch(whole[:at], 5000); err == nil {
			t.Errorf("cut at %d: accepted", at)
		}
	}
}

func TestSequencesAreRestoredFromTheLogAfterAKill(t *testing.T) {
	dir := t.TempDir()
	partition := filepath.Join(dir, "partitions", "my-topic-2")
	if err := os.MkdirAll(partition, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, batches ...[]byte) {
		var text []byte
		for _, batch := range batches {
			text = append(text, batch...)
		}
		if err := os.WriteFile(filepath.Join(partition, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	torn := batchOf(t, kgo.CodecNone, 21, 21)
	batch := func(n int32) []byte { return batchOf(t, kgo.CodecNone, n, int64(n)) }
	write("0.dat", batch(0), batch(3), batch(6))
	write("9.dat", batch(9), batch(12), batch(15), batch(18), torn[:len(torn)-1])

	if err := restoreSequences(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, sequencesFile))
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Windows []sequenceWindow }
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := sequenceWindow{
		Producer: 7, Topic: "my-topic", Partition: 2, Count: 5, At: 2, Epoch: 1, Seen: true, Next: 21,
		Entries: [5]sequenceEntry{{15, 18, 15}, {18, 21, 18}, {6, 9, 6}, {9, 12, 9}, {12, 15, 12}},
	}
	if len(got.Windows) != 1 || got.Windows[0] != want {
		t.Errorf("got %+v, want %+v", got.Windows, want)
	}
}
