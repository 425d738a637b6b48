package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/iotest"
)

// A value is one thing in a stream.
type value struct {
	write func(*Writer)
	same  func(*Reader) bool
}

func values(r *rand.Rand, n int) []value {
	var out []value
	for range n {
		x := r.Uint64() >> r.IntN(64)
		text := bytes.Repeat([]byte{byte(x)}, int(x%70))
		if r.IntN(500) == 0 {
			text = bytes.Repeat(text, 3000) // longer than the buffer
		}
		var b [16]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		addr := netip.AddrFrom16(b)
		switch r.IntN(4) {
		case 0:
			addr = netip.AddrFrom4([4]byte(b[:4]))
		case 1:
			addr = netip.Addr{}
		}
		p := netip.PrefixFrom(addr, int(x%34)-1)
		out = append(out, []value{
			{func(w *Writer) { w.Uint(x) }, func(r *Reader) bool { return r.Uint() == x }},
			{func(w *Writer) { w.Int(-int64(x)) }, func(r *Reader) bool { return r.Int() == -int64(x) }},
			{func(w *Writer) { w.Int(int64(x)) }, func(r *Reader) bool { return r.Int() == int64(x) }},
			{func(w *Writer) { w.Bool(x&1 == 0) }, func(r *Reader) bool { return r.Bool() == (x&1 == 0) }},
			{func(w *Writer) { w.Fixed32(uint32(x)) }, func(r *Reader) bool { return r.Fixed32() == uint32(x) }},
			{func(w *Writer) { w.Fixed64(x) }, func(r *Reader) bool { return r.Fixed64() == x }},
			{func(w *Writer) { w.Bytes(text) }, func(r *Reader) bool { return bytes.Equal(r.Bytes(len(text)), text) }},
			{func(w *Writer) { w.String(string(text)) }, func(r *Reader) bool { return r.String(len(text)) == string(text) }},
			{func(w *Writer) { w.Addr(addr) }, func(r *Reader) bool { return r.Addr() == addr }},
			{func(w *Writer) { w.Prefix(p) }, func(r *Reader) bool { return r.Prefix() == p }},
		}[r.IntN(10)])
	}
	return out
}

func stream(t *testing.T, vs []value) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, v := range vs {
		v.write(w)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	extremes := []value{
		{func(w *Writer) { w.Int(math.MinInt64) }, func(r *Reader) bool { return r.Int() == math.MinInt64 }},
		{func(w *Writer) { w.Int(math.MaxInt64) }, func(r *Reader) bool { return r.Int() == math.MaxInt64 }},
		{func(w *Writer) { w.Uint(math.MaxUint64) }, func(r *Reader) bool { return r.Uint() == math.MaxUint64 }},
	}
	for seed := range uint64(10) {
		vs := append(values(rand.New(rand.NewPCG(seed, 1)), 30_000), extremes...)
		b := stream(t, vs)
		for name, in := range map[string]io.Reader{
			"whole":     bytes.NewReader(b),
			"by byte":   iotest.OneByteReader(bytes.NewReader(b)),
			"with more": io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte("more"))),
			"EOF early": iotest.DataErrReader(bytes.NewReader(b)),
		} {
			r := NewReader(in)
			for i, v := range vs {
				if !v.same(r) || r.Err() != nil {
					t.Fatalf("seed %d, %s: value %d of %d is another (%v)", seed, name, i, len(vs), r.Err())
				}
			}
			if err := r.Close(); err != nil {
				t.Errorf("seed %d, %s: %v", seed, name, err)
			}
		}
	}
}

// TestBroken: whatever is cut off or changed is noticed at the latest by
// Close, and values after an error are zero.
func TestBroken(t *testing.T) {
	vs := values(rand.New(rand.NewPCG(1, 1)), 300)
	b := stream(t, vs)
	read := func(b []byte) error {
		r := NewReader(bytes.NewReader(b))
		for _, v := range vs {
			v.same(r)
			if r.Err() != nil && r.Uint()|uint64(r.Fixed32())|r.Fixed64()|uint64(len(r.Bytes(9))) != 0 {
				t.Fatal("a value after an error")
			}
		}
		return r.Close()
	}
	for n := range b {
		if err := read(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes: no error", n, len(b))
		}
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x55
		if err := read(bad); err == nil {
			t.Fatalf("byte %d of %d changed: no error", i, len(b))
		}
	}
}

func TestBounds(t *testing.T) {
	for name, x := range map[string]struct {
		in  []byte
		ask func(*Reader)
	}{
		"length":        {[]byte{5, 1, 2, 3, 4, 5}, func(r *Reader) { r.Bytes(4) }},
		"number":        {[]byte{5}, func(r *Reader) { r.Upto(4) }},
		"bool":          {[]byte{2}, func(r *Reader) { r.Bool() }},
		"long number":   {bytes.Repeat([]byte{0xff}, 11), func(r *Reader) { r.Uint() }},
		"address":       {[]byte{5, 1, 2, 3, 4, 5}, func(r *Reader) { r.Addr() }},
		"prefix":        {[]byte{4, 1, 2, 3, 4, 34}, func(r *Reader) { r.Prefix() }},
		"empty":         {nil, func(r *Reader) { r.Uint() }},
		"short text":    {[]byte{0xff, 0xff, 3, 'x'}, func(r *Reader) { r.Bytes(1 << 20) }},
		"short number":  {[]byte{0xff}, func(r *Reader) { r.Uint() }},
		"short address": {[]byte{16, 1}, func(r *Reader) { r.Addr() }},
	} {
		r := NewReader(bytes.NewReader(x.in))
		x.ask(r)
		if r.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(iotest.ErrReader(broken))
	r.Uint()
	if err := r.Close(); !errors.Is(err, broken) {
		t.Errorf("reader: %v", err)
	}
	w := NewWriter(failing{broken})
	for range 100_000 {
		w.Fixed64(1)
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
