package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A file begins with a header; integers are little endian:
//
//	magic       16 bytes
//	version      4
//	generation   8  the number in the file's name
//	serial      16  the newest record that a snapshot holds; 0 in a journal
//	time         8  when it was begun, nanoseconds since 1970
//	checksum     4  CRC-32C of all before
//
// A snapshot goes on with its payload, and ends with a trailer:
//
//	length       8  of the payload
//	checksum     4  CRC-32C of header, payload and length
//
// A journal goes on with records:
//
//	length       4  of the payload
//	serial      16
//	checksum     4  CRC-32C of length and serial, so that a damaged length
//	                is told from one that the end of the file cuts short
//	checksum     4  CRC-32C of the payload
//	payload
const (
	version      = 1
	headerSize   = 16 + 4 + 8 + 16 + 8 + 4
	trailerSize  = 8 + 4
	prologueSize = 4 + 16 + 4 + 4

	// MaxRecord is the size in bytes of the largest record that Append takes.
	MaxRecord = 1 << 20
)

const (
	snapshotMagic = "postmoat state\r\n"
	journalMagic  = "postmoat diary\r\n"
)

var (
	errNewer  = errors.New("written by a newer postmoat")
	errHeader = errors.New("its header is damaged")
	errShort  = errors.New("it is cut short")
	errSum    = errors.New("its checksum does not match")
)

// castagnoli is CRC-32C, for which processors have an instruction.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A serial is the place of a record among all that were ever appended. Epoch is
// the first generation of the process that appended it, so that a number is not
// used again even where the tail of a journal was lost.
type serial struct {
	epoch, n uint64
}

// after reports whether s was appended later than t.
func (s serial) after(t serial) bool {
	return s.epoch > t.epoch || s.epoch == t.epoch && s.n > t.n
}

// A header is the head of either kind of file.
type header struct {
	generation uint64
	serial     serial
	at         time.Time
}

// appendTo appends the header as bytes.
func (h header) appendTo(b []byte, magic string) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, h.generation)
	b = binary.LittleEndian.AppendUint64(b, h.serial.epoch)
	b = binary.LittleEndian.AppendUint64(b, h.serial.n)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.at.UnixNano()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// parseHeader reads a header from b, which has headerSize bytes.
func parseHeader(b []byte, magic string) (header, error) {
	if string(b[:16]) != magic {
		return header{}, errHeader
	}
	// The version comes before the checksum: what follows it may have another
	// shape in a newer version.
	if v := binary.LittleEndian.Uint32(b[16:]); v > version {
		return header{}, fmt.Errorf("%w (format %d; this one reads up to %d)", errNewer, v, version)
	}
	sum := binary.LittleEndian.Uint32(b[headerSize-4:])
	if sum != crc32.Checksum(b[:headerSize-4], castagnoli()) || binary.LittleEndian.Uint32(b[16:]) == 0 {
		return header{}, errHeader
	}
	return header{
		generation: binary.LittleEndian.Uint64(b[20:]),
		serial:     serial{epoch: binary.LittleEndian.Uint64(b[28:]), n: binary.LittleEndian.Uint64(b[36:])},
		at:         time.Unix(0, int64(binary.LittleEndian.Uint64(b[44:]))),
	}, nil
}

// appendRecord appends a record as a journal holds it.
func appendRecord(b []byte, s serial, record []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(record)))
	b = binary.LittleEndian.AppendUint64(b, s.epoch)
	b = binary.LittleEndian.AppendUint64(b, s.n)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(record, castagnoli()))
	return append(b, record...)
}

// A prologue is what stands before the payload of a record.
type prologue struct {
	length int
	serial serial
	sum    uint32 // of the payload
}

// parsePrologue reads a prologue from b, which has prologueSize bytes.
func parsePrologue(b []byte) (prologue, bool) {
	length := binary.LittleEndian.Uint32(b)
	if binary.LittleEndian.Uint32(b[20:]) != crc32.Checksum(b[:20], castagnoli()) || length > MaxRecord {
		return prologue{}, false
	}
	return prologue{
		length: int(length),
		serial: serial{epoch: binary.LittleEndian.Uint64(b[4:]), n: binary.LittleEndian.Uint64(b[12:])},
		sum:    binary.LittleEndian.Uint32(b[24:]),
	}, true
}
