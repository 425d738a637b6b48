package source

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// naiveLines is what a stream's lines are: those over max are empty.
func naiveLines(data []byte, max int) string {
	lines := bytes.Split(data, newline)
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	var out strings.Builder
	for _, line := range lines {
		if len(line) <= max {
			out.Write(line)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// chunks reads random amounts.
type chunks struct {
	io.Reader
	r *rand.Rand
}

func (c chunks) Read(p []byte) (int, error) {
	return c.Reader.Read(p[:1+c.r.IntN(len(p))])
}

func drain(t testing.TB, l *lineReader, buf []byte) string {
	t.Helper()
	var out bytes.Buffer
	for {
		data, err := l.next(buf)
		if err != nil {
			if err != io.EOF {
				t.Fatal(err)
			}
			return out.String()
		}
		if len(data) == 0 {
			t.Fatal("neither lines nor an error")
		}
		out.Write(data)
		if data[len(data)-1] != '\n' {
			out.WriteByte('\n') // only right at the end: else a line is cut in two
		}
	}
}

// Blocks of every size that can hold a line, so that a block ends at every byte.
func TestEveryBlockSize(t *testing.T) {
	data := sample(20)
	for size := 65; size <= len(data)+1; size++ {
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(data), "bytes": iotest.OneByteReader(bytes.NewReader(data)), "data with EOF": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			got := drain(t, &lineReader{r: r, max: 64}, make([]byte, size))
			if got != string(data) {
				t.Fatalf("%s, block of %d: %q", name, size, got)
			}
		}
	}
}

func TestLongLines(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, file, want string
		long             uint64
	}{
		{"just not too long", x(64) + "\n" + x(64), x(64) + "\n" + x(64) + "\n", 0},
		{"first", x(65) + "\na\n", "\na\n", 1},
		{"in the middle", "a\n" + x(65) + "\nb\n", "a\n\nb\n", 1},
		{"two in a row", x(65) + "\n" + x(1000) + "\nb\n", "\n\nb\n", 2},
		{"last, no newline", "a\n" + x(65), "a\n\n", 1},
		{"huge, no newline", "a\n" + x(5000), "a\n\n", 1},
		{"huge", "a\n" + x(5000) + "\n" + x(64) + "\n", "a\n\n" + x(64) + "\n", 1},
	} {
		for size := 65; size < 300; size++ {
			l := &lineReader{r: strings.NewReader(c.file), max: 64}
			if got := drain(t, l, make([]byte, size)); got != c.want || l.long != c.long {
				t.Fatalf("%s, block of %d: %q, %d long", c.name, size, got, l.long)
			}
		}
	}
}

// The first line that was too long is named by its number, wherever blocks end.
func TestLongLineNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		var file bytes.Buffer
		first := 0
		for n := 1; n <= 200; n++ {
			size := r.IntN(60)
			if r.IntN(80) == 0 {
				size = 65 + r.IntN(500)
				if first == 0 {
					first = n
				}
			}
			file.Write(bytes.Repeat([]byte("x"), size))
			file.WriteByte('\n')
		}
		o := ArchiveOptions{MaxLine: 64, Block: 65 + r.IntN(1000), Time: func([]byte, time.Time) (time.Time, bool) { return time.Time{}, false }}
		for name, paths := range map[string][]string{
			"alone":  {write(t, "log", file.Bytes())},
			"second": {write(t, "other", []byte("a\n")), write(t, "log", file.Bytes())},
		} {
			_, stats, err := read(t, o, paths...)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if first > 0 {
				want = fmt.Sprintf("/log: lines longer than 64 bytes, dropped: %d, the first is line %d", stats.LongLines, first)
			}
			if got := strings.Join(stats.Warnings, "|"); !strings.HasSuffix(got, want) || (got == "") != (want == "") {
				t.Fatalf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// A line of 100 MB takes no 100 MB of memory.
func TestHugeLineMemory(t *testing.T) {
	huge := io.MultiReader(strings.NewReader("a\n"), io.LimitReader(zeros{}, 100<<20), strings.NewReader("\nb\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var out strings.Builder
	stats, err := ReadArchives(t.Context(), []string{"-"}, ArchiveOptions{Stdin: huge}, func(b *Block) error {
		out.Write(b.Data)
		return nil
	})
	runtime.ReadMemStats(&after)
	if err != nil || out.String() != "a\n\nb\n" || stats.LongLines != 1 {
		t.Errorf("%q, %v, %+v", out.String(), err, stats)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 10<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// An unfinished line is dropped only when the stream broke off.
func TestBrokenStream(t *testing.T) {
	l := &lineReader{r: io.MultiReader(strings.NewReader("a\nhalf"), iotest.ErrReader(io.ErrUnexpectedEOF)), max: 64}
	data, err := l.next(make([]byte, 100))
	if string(data) != "a\n" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	if data, err = l.next(make([]byte, 100)); data != nil || err != io.ErrUnexpectedEOF || !l.part {
		t.Errorf("%q, %v, part %v", data, err, l.part)
	}
}

func TestNoProgress(t *testing.T) {
	l := &lineReader{r: stuck{}, max: 64}
	if _, err := l.next(make([]byte, 100)); err != io.ErrNoProgress {
		t.Errorf("error %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\n\nb"), uint8(3), uint8(0), uint64(1))
	f.Add([]byte("xxxxxxxxxxxx\r\ny\x00\n"), uint8(4), uint8(9), uint64(2))
	f.Add([]byte("\n"), uint8(1), uint8(1), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, longest, more uint8, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		l := &lineReader{r: chunks{bytes.NewReader(data), r}, max: int(longest), eager: seed%2 == 0}
		got := drain(t, l, make([]byte, int(longest)+1+int(more)))
		if want := naiveLines(data, int(longest)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// FuzzArchive reads hostile archives: no panic, no endless loop, numbers hold.
func FuzzArchive(f *testing.F) {
	data := sample(30)
	f.Add(xzip(f, data))
	f.Add(zst(f, data))
	f.Add(gz(f, data, sampleTime))
	f.Add(bz2(f)[:500])
	f.Add(data)
	f.Fuzz(func(t *testing.T, file []byte) {
		_, _, err := read(t, ArchiveOptions{Stdin: bytes.NewReader(file), Block: 4096, MaxLine: 256}, "-")
		if err != nil && !strings.HasPrefix(err.Error(), "read -: ") {
			t.Errorf("error %v", err)
		}
	})
}
