package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
)

// A Reader reads a stream that a Writer has written. What it returns before
// Close has said that the checksum holds may be anything, but is within the
// bounds that were asked for.
type Reader struct {
	r        io.Reader
	buf      []byte
	pos, end int
	table    *crc32.Table
	sum      uint32 // of all before buf[:pos] but buf[:summed]
	summed   int
	err      error
}

// NewReader begins to read a stream. It may read beyond its end.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, bufSize), table: castagnoli()}
}

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Fail makes an error the first one, unless there is one.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.pos, r.end, r.summed = 0, 0, 0
}

// Close reads the end and says whether all is as it was written.
func (r *Reader) Close() error {
	r.account()
	want := r.sum
	if got := r.Fixed32(); r.err == nil && got != want {
		r.Fail(errors.New("checksum does not match"))
	}
	return r.err
}

// account takes what was read into the sum.
func (r *Reader) account() {
	r.sum = crc32.Update(r.sum, r.table, r.buf[r.summed:r.pos])
	r.summed = r.pos
}

// fill reads on until n bytes are there, at most most, or the stream ends.
func (r *Reader) fill(n int) {
	if r.end-r.pos >= n || r.err != nil {
		return
	}
	r.account()
	r.end = copy(r.buf, r.buf[r.pos:r.end])
	r.pos, r.summed = 0, 0
	m, err := io.ReadAtLeast(r.r, r.buf[r.end:], n-r.end)
	r.end += m
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.Fail(fmt.Errorf("read: %w", err))
	}
}

// take is the next n bytes, at most most; nil after an error.
func (r *Reader) take(n int) []byte {
	r.fill(n)
	if r.end-r.pos < n {
		r.Fail(io.ErrUnexpectedEOF)
		return nil
	}
	b := r.buf[r.pos : r.pos+n]
	r.pos += n
	return b
}

// Uint reads a number.
func (r *Reader) Uint() uint64 {
	if r.pos < r.end && r.buf[r.pos] < 0x80 { // mostly
		r.pos++
		return uint64(r.buf[r.pos-1])
	}
	r.fill(binary.MaxVarintLen64)
	x, n := binary.Uvarint(r.buf[r.pos:r.end])
	switch {
	case n > 0:
		r.pos += n
	case n == 0:
		r.Fail(io.ErrUnexpectedEOF)
	default:
		r.Fail(errors.New("a number of more than 64 bits"))
	}
	return x
}

// Upto reads a number that may not be above limit.
func (r *Reader) Upto(limit uint64) uint64 {
	x := r.Uint()
	if x > limit {
		r.Fail(fmt.Errorf("%d where at most %d is possible", x, limit))
		return 0
	}
	return x
}

// Len reads a number of things, at most limit.
func (r *Reader) Len(limit int) int { return int(r.Upto(uint64(limit))) }

// Int reads a number that may be negative.
func (r *Reader) Int() int64 {
	x := r.Uint()
	return int64(x>>1) ^ -int64(x&1)
}

// Bool reads a byte.
func (r *Reader) Bool() bool { return r.Upto(1) == 1 }

// Fixed32 reads four bytes.
func (r *Reader) Fixed32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Fixed64 reads eight bytes.
func (r *Reader) Fixed64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Bytes reads a text of at most limit bytes; nil for an empty one. It takes
// memory as the text comes.
func (r *Reader) Bytes(limit int) []byte { return r.AppendBytes(nil, limit) }

// AppendBytes is Bytes for a text that is put behind others.
func (r *Reader) AppendBytes(out []byte, limit int) []byte {
	for n := r.Len(limit); n > 0 && r.err == nil; {
		r.fill(1)
		m := min(n, r.end-r.pos)
		if m == 0 {
			r.Fail(io.ErrUnexpectedEOF)
			return nil
		}
		out = append(out, r.buf[r.pos:r.pos+m]...)
		r.pos += m
		n -= m
	}
	return out
}

// String reads a text of at most limit bytes.
func (r *Reader) String(limit int) string { return string(r.Bytes(limit)) }

// Addr reads an address, which may be the zero one.
func (r *Reader) Addr() netip.Addr {
	switch n := r.Uint(); n {
	case 0:
		return netip.Addr{}
	case 4, 16:
		a, _ := netip.AddrFromSlice(r.take(int(n)))
		return a
	default:
		r.Fail(fmt.Errorf("an address of %d bytes", n))
		return netip.Addr{}
	}
}

// Prefix reads a prefix, which may be the zero one.
func (r *Reader) Prefix() netip.Prefix {
	a := r.Addr()
	if !a.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, int(r.Upto(uint64(a.BitLen())+1))-1)
}
