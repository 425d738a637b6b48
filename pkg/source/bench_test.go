package source

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchLog is 32 MiB of lines of 150 bytes.
func benchLog() []byte {
	line := append(bytes.Repeat([]byte("x"), 138), "\n"...)
	line = append([]byte("1090000000 "), line...)
	return bytes.Repeat(line, 32<<20/150)
}

func benchRead(b *testing.B, paths ...string) {
	var size, lines int64
	for b.Loop() {
		stats, err := ReadArchives(b.Context(), paths, ArchiveOptions{Time: unixTime}, func(*Block) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		size, lines = stats.Bytes, int64(stats.Lines)
	}
	b.SetBytes(size)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lines), "ns/line")
}

func BenchmarkPlain(b *testing.B) { benchRead(b, write(b, "log", benchLog())) }

// BenchmarkReadOnly is the floor: read(2) into one buffer and nothing else.
func BenchmarkReadOnly(b *testing.B) {
	path := write(b, "log", benchLog())
	buf := make([]byte, defaultBlock)
	size := 0
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		for size = 0; ; {
			n, err := f.Read(buf)
			size += n
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
	}
	b.SetBytes(int64(size))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size/150), "ns/line")
}

// BenchmarkReadIndexByte is the floor with one look for each newline.
func BenchmarkReadIndexByte(b *testing.B) {
	data, lines := benchLog(), 0
	for b.Loop() {
		lines = 0
		for rest := data; len(rest) > 0; lines++ {
			_, rest = cutLine(rest)
		}
	}
	b.SetBytes(int64(len(data)))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lines), "ns/line")
}

func BenchmarkCompressed(b *testing.B) {
	data := sample(200000)
	for name, file := range map[string][]byte{"gzip": gz(b, data, time.Time{}), "xz": xzip(b, data), "zstd": zst(b, data)} {
		b.Run(name, func(b *testing.B) { benchRead(b, write(b, "log", file)) })
	}
}

// BenchmarkMerge reads two copies of one log, every line twice.
func BenchmarkMerge(b *testing.B) {
	data := sample(200000)
	dir := b.TempDir()
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for _, path := range paths {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	benchRead(b, paths...)
}
