package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	codecBits         = 0x0007 // of a record batch's attributes
	appendTimeBit     = 0x0008
	checksummedFrom   = 21 // the first byte that a record batch's checksum covers
	timestampTypeName = "message.timestamp.type"
)

var (
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	compressors  = newCompressors()
	decompressor = kgo.DefaultDecompressor()

	errMalformed = errors.New("malformed record batch")
)

// stampAppendTime gives the records of a topic with message.timestamp.type=LogAppendTime the time of
// their arrival. kfake stores the setting and does not act on it, so every batch is rewritten before
// kfake sees it: base and maximum timestamp are now, each record's difference from them zero. The
// batch stays marked as CreateTime, because kfake would change a marked batch without a new checksum.
//
// A batch that cannot be read is emptied, which kfake refuses as corrupt: nothing unstamped gets in.
func stampAppendTime(cluster *kfake.Cluster) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(request kmsg.Request) (kmsg.Response, error, bool) {
		produce := request.(*kmsg.ProduceRequest)
		now := time.Now().UnixMilli()
		for t := range produce.Topics {
			topic := &produce.Topics[t]
			if !wantsAppendTime(cluster, topic) {
				continue
			}
			for p := range topic.Partitions {
				partition := &topic.Partitions[p]
				stamped, err := stampBatch(partition.Records, now)
				if err != nil {
					stamped = nil
				}
				partition.Records = stamped
			}
		}
		return nil, nil, false
	}
}

// wantsAppendTime finds the topic by name, or by id for the clients that send no name.
func wantsAppendTime(cluster *kfake.Cluster, topic *kmsg.ProduceRequestTopic) bool {
	var info *kfake.TopicInfo
	if topic.Topic != "" {
		info = cluster.TopicInfo(topic.Topic)
	} else {
		info = cluster.TopicIDInfo(topic.TopicID)
	}
	if info == nil {
		return false
	}
	value := info.Configs[timestampTypeName]
	return value != nil && *value == "LogAppendTime"
}

// stampBatch returns the batch with every record at the given time, in milliseconds, in the codec it
// came in.
func stampBatch(raw []byte, now int64) ([]byte, error) {
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(raw); err != nil {
		return nil, err
	}
	if batch.CRC != int32(crc32.Checksum(raw[checksummedFrom:], castagnoli)) {
		return nil, errMalformed
	}
	codec := kgo.CompressionCodecType(batch.Attributes & codecBits)
	records, err := decompressor.Decompress(batch.Records, codec)
	if err != nil {
		return nil, err
	}
	if records, err = zeroTimestampDeltas(records, int(batch.NumRecords)); err != nil {
		return nil, err
	}
	if batch.Records, err = compress(records, codec); err != nil {
		return nil, err
	}

	batch.Attributes &^= appendTimeBit
	batch.FirstTimestamp, batch.MaxTimestamp = now, now
	stamped := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(stamped[8:], uint32(len(stamped)-12)) // the length of what follows it
	binary.BigEndian.PutUint32(stamped[17:], crc32.Checksum(stamped[checksummedFrom:], castagnoli))
	return stamped, nil
}

// zeroTimestampDeltas copies records (length, attributes, timestamp delta, rest) with a delta of zero.
func zeroTimestampDeltas(records []byte, count int) ([]byte, error) {
	out := make([]byte, 0, len(records))
	for range count {
		length, n := binary.Varint(records)
		if n <= 0 || length < 2 || length > int64(len(records)-n) {
			return nil, errMalformed
		}
		record := records[n : n+int(length)]
		_, delta := binary.Varint(record[1:])
		if delta <= 0 {
			return nil, errMalformed
		}
		rest := record[1+delta:]
		out = binary.AppendVarint(out, int64(2+len(rest)))
		out = append(out, record[0], 0)
		out = append(out, rest...)
		records = records[n+int(length):]
	}
	if len(records) > 0 {
		return nil, errMalformed
	}
	return out, nil
}

// compress returns a copy in the codec asked for.
func compress(records []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return records, nil
	}
	compressor, known := compressors[codec]
	if !known {
		return nil, fmt.Errorf("unknown codec %d", codec)
	}
	compressed, used := compressor.Compress(new(bytes.Buffer), records)
	if used != codec {
		return nil, fmt.Errorf("codec %d failed", codec)
	}
	return compressed, nil
}

func newCompressors() map[kgo.CompressionCodecType]kgo.Compressor {
	codecs := map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecGzip:   kgo.GzipCompression(),
		kgo.CodecSnappy: kgo.SnappyCompression(),
		kgo.CodecLz4:    kgo.Lz4Compression(),
		kgo.CodecZstd:   kgo.ZstdCompression(),
	}
	made := make(map[kgo.CompressionCodecType]kgo.Compressor, len(codecs))
	for kind, codec := range codecs {
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			panic(err) // the four codecs of the library itself
		}
		made[kind] = compressor
	}
	return made
}
