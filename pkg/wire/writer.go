// Package wire is the binary form in which the core writes what it knows: a
// stream of numbers, texts and addresses without any structure of its own,
// with a checksum at its end. Writer and Reader hold one buffer each, however
// long the stream is, and nothing a Reader is given makes it allocate more
// than its caller has allowed.
//
// The first error sticks: after it a Writer writes nothing more and a Reader
// returns zeros, so that only loops and the end need to ask for it.
package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
)

const (
	bufSize = 64 << 10
	most    = 17 // bytes of the longest value with a size of its own: an address
)

// castagnoli is the polynomial that processors have an instruction for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A Writer writes a stream.
type Writer struct {
	w     io.Writer
	buf   []byte
	table *crc32.Table
	sum   uint32
	err   error
}

// NewWriter begins a stream.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, buf: make([]byte, 0, bufSize), table: castagnoli()}
}

// Close ends the stream, with the checksum of all before.
func (w *Writer) Close() error {
	w.flush()
	w.buf = binary.LittleEndian.AppendUint32(w.buf, w.sum)
	w.flush()
	return w.err
}

func (w *Writer) flush() {
	w.sum = crc32.Update(w.sum, w.table, w.buf)
	if w.err == nil {
		if _, err := w.w.Write(w.buf); err != nil {
			w.err = fmt.Errorf("write: %w", err)
		}
	}
	w.buf = w.buf[:0]
}

// room makes sure that a value fits.
func (w *Writer) room() {
	if len(w.buf) > bufSize-most {
		w.flush()
	}
}

// Uint writes a number, a small one in a byte.
func (w *Writer) Uint(x uint64) {
	w.room()
	if x < 0x80 { // mostly
		w.buf = append(w.buf, byte(x))
		return
	}
	w.buf = binary.AppendUvarint(w.buf, x)
}

// Int writes a number that may be negative.
func (w *Writer) Int(x int64) { w.Uint(uint64(x)<<1 ^ uint64(x>>63)) }

// Bool writes one byte.
func (w *Writer) Bool(b bool) {
	if b {
		w.Uint(1)
	} else {
		w.Uint(0)
	}
}

// Fixed32 writes four bytes.
func (w *Writer) Fixed32(x uint32) {
	w.room()
	w.buf = binary.LittleEndian.AppendUint32(w.buf, x)
}

// Fixed64 writes eight bytes.
func (w *Writer) Fixed64(x uint64) {
	w.room()
	w.buf = binary.LittleEndian.AppendUint64(w.buf, x)
}

// Bytes writes a text with its length.
func (w *Writer) Bytes(b []byte) {
	w.Uint(uint64(len(b)))
	for len(b) > 0 {
		w.room()
		n := min(len(b), bufSize-len(w.buf))
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
	}
}

// String writes a text with its length.
func (w *Writer) String(s string) { w.Bytes([]byte(s)) }

// Addr writes an address without its zone; it may be the zero one.
func (w *Writer) Addr(a netip.Addr) {
	switch {
	case !a.IsValid():
		w.Uint(0)
	case a.Is4():
		w.Uint(4)
		b := a.As4()
		w.buf = append(w.buf, b[:]...)
	default:
		w.Uint(16)
		b := a.As16()
		w.buf = append(w.buf, b[:]...)
	}
}

// Prefix writes a prefix; it may be the zero one.
func (w *Writer) Prefix(p netip.Prefix) {
	w.Addr(p.Addr())
	if p.Addr().IsValid() {
		w.Uint(uint64(p.Bits() + 1)) // 0: not valid
	}
}
