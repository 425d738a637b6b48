package source

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// sample is a log of n lines of three a second: "1090000000 line 0 ...". The
// committed testdata/sample.log.bz2 was made of sample(6000) by `bzip2 -1`.
func sample(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "%d line %d %x\n", 1090000000+i/3, i, r.Uint64()>>r.IntN(60))
	}
	return b.Bytes()
}

// unixTime reads the time of a line that begins with Unix seconds.
func unixTime(line []byte, _ time.Time) (time.Time, bool) {
	word, _, _ := bytes.Cut(line, []byte(" "))
	n, err := strconv.ParseInt(string(word), 10, 64)
	return time.Unix(n, 0), err == nil
}

// write makes a file in a fresh folder.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read reads everything, and checks that blocks are numbered without a gap and
// hold as many lines as they say.
func read(t testing.TB, o ArchiveOptions, paths ...string) (string, ArchiveStats, error) {
	t.Helper()
	var out bytes.Buffer
	next := uint64(1)
	stats, err := ReadArchives(t.Context(), paths, o, func(b *Block) error {
		if b.FirstLine != next {
			t.Errorf("block begins with line %d, want %d", b.FirstLine, next)
		}
		n := 0
		for number, line := range b.All() {
			if want := next + uint64(n); number != want {
				t.Fatalf("line %d has number %d", want, number)
			}
			n++
			out.Write(line)
			out.WriteByte('\n')
		}
		if want := bytes.Count(append(bytes.TrimSuffix(b.Data, newline), '\n'), newline); n != want {
			t.Errorf("a block of %d lines, want %d", n, want)
		}
		next += uint64(n)
		return nil
	})
	if stats.Lines != next-1 {
		t.Errorf("stats say %d lines, %d came", stats.Lines, next-1)
	}
	return out.String(), stats, err
}

func gz(t testing.TB, data []byte, modTime time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.ModTime = time.Unix(max(modTime.Unix(), 0), 0) // the zero time: none
	pack(t, w, data)
	return b.Bytes()
}

func xzip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	pack(t, w, data)
	return b.Bytes()
}

func zst(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	pack(t, w, data)
	return b.Bytes()
}

func bz2(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/sample.log.bz2")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func pack(t testing.TB, w io.WriteCloser, data []byte) {
	t.Helper()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Fatalf("%d bytes, want %d; they differ at %d: %q, want %q", len(got), len(want), i,
		got[i:min(i+60, len(got))], want[i:min(i+60, len(want))])
}
