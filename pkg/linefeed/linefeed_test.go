package linefeed

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// naive is Append by definition.
func naive(data []byte) []uint32 {
	var ends []uint32
	for i, c := range data {
		if c == '\n' {
			ends = append(ends, uint32(i))
		}
	}
	return ends
}

func check(t *testing.T, data []byte) {
	t.Helper()
	want := naive(data)
	if got := Append(nil, data); !slices.Equal(got, want) {
		t.Fatalf("%q:\n got %d\nwant %d", data, got, want)
	}
	// Behind others, and nothing is written but behind them.
	ends := []uint32{7, 8, 9}
	if got := Append(ends[:2], data); !slices.Equal(got[:2], ends[:2]) || !slices.Equal(got[2:], want) {
		t.Fatalf("%q: behind two: %d", data, got)
	}
}

func TestAppend(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		for _, share := range []int{1, 2, 5, 50, 1000} {
			data := make([]byte, n)
			for i := range data {
				if data[i] = byte(r.Uint32()); r.IntN(share) == 0 {
					data[i] = '\n'
				}
			}
			check(t, data)
			for from := range min(n, 66) { // from any address
				check(t, data[from:])
			}
		}
	}
	for _, n := range []int{step - 1, step, step + 1, 3*step + 70} {
		check(t, bytes.Repeat([]byte{'\n'}, n))
		check(t, bytes.Repeat([]byte("\x0b\x8a"), n/2))
		check(t, append(bytes.Repeat([]byte{' '}, n), '\n'))
	}
}

// TestRoom: scan writes no further than it may.
func TestRoom(t *testing.T) {
	if !fast {
		t.Skip("scan is for processors with AVX2")
	}
	data := bytes.Repeat([]byte{'\n'}, 2*width)
	for k := range width {
		for last := range width + 1 { // line feeds in the last block
			part := slices.Clone(data)
			copy(part[:k], bytes.Repeat([]byte{'x'}, k))
			copy(part[width+last:], bytes.Repeat([]byte{'x'}, width))
			ends := slices.Repeat([]uint32{1 << 31}, len(part)+8)
			n := scan(ends[:len(part)], part, 5)
			if n != width-k+last || ends[0] != uint32(k+5) {
				t.Fatalf("%d line feeds of %d, the first at %d", n, width-k+last, ends[0])
			}
			for _, x := range ends[len(part):] {
				if x != 1<<31 {
					t.Fatalf("written behind the end: %d", ends[n:])
				}
			}
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("a\nb\n\n"), uint16(0))
	f.Add(bytes.Repeat([]byte("a line\n"), 100), uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, from uint16) {
		check(t, data[min(int(from), len(data)):])
	})
}

func BenchmarkAppend(b *testing.B) {
	data := bytes.Repeat(append(bytes.Repeat([]byte{'x'}, 154), '\n'), 800)
	var ends []uint32
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		ends = Append(ends[:0], data)
	}
}
