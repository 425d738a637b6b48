package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

func TestFormats(t *testing.T) {
	data := sample(6000)
	half := len(data) / 2
	when := time.Date(2004, 7, 15, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		file   []byte
		format Format
	}{
		{"plain", data, Plain},
		{"gzip", gz(t, data, when), Gzip},
		{"gzip of two members, zeros behind", append(append(gz(t, data[:half], when), gz(t, data[half:], time.Time{})...), 0, 0, 0), Gzip},
		{"bzip2", bz2(t), Bzip2},
		{"xz", xzip(t, data), XZ},
		{"xz of two streams", append(xzip(t, data[:half]), xzip(t, data[half:])...), XZ},
		{"zstd", zst(t, data), Zstd},
		{"zstd of two frames", append(zst(t, data[:half]), zst(t, data[half:])...), Zstd},
		{"zstd, skippable frame first", append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, zst(t, data)...), Zstd},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The name says nothing, or the wrong thing.
			got, stats, err := read(t, ArchiveOptions{Time: unixTime}, write(t, "mail.log.xz", c.file))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, string(data))
			f := stats.Files[0]
			if f.Format != c.format || f.Lines != 6000 || f.Read != int64(len(c.file)) || f.Start.Unix() != 1090000000 {
				t.Errorf("stats: %+v", f)
			}
			if c.format == Gzip && !f.ModTime.Equal(when) {
				t.Errorf("the file was last written %v, its header says %v", f.ModTime, when)
			}

			got, _, err = read(t, ArchiveOptions{Stdin: bytes.NewReader(c.file)}, "-")
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, string(data))
		})
	}
}

// gzip -n, and gzip behind a pipe, write no time into the header: that of the
// file counts then.
func TestGzipWithoutTime(t *testing.T) {
	path := write(t, "mail.log.gz", gz(t, sample(10), time.Time{}))
	when := time.Date(2004, 7, 15, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
	_, err := ReadArchives(t.Context(), []string{path}, ArchiveOptions{}, func(b *Block) error {
		if !b.ModTime.Equal(when) {
			t.Errorf("last written %v, want %v", b.ModTime, when)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ReadArchives(t.Context(), []string{"-"}, ArchiveOptions{Stdin: bytes.NewReader(gz(t, sample(10), time.Time{}))}, func(b *Block) error {
		if !b.ModTime.IsZero() {
			t.Errorf("a stream was last written %v", b.ModTime)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOddFiles(t *testing.T) {
	for _, c := range []struct {
		name, file, want string
	}{
		{"no final newline", "a\nb", "a\nb\n"},
		{"one newline", "\n", "\n"},
		{"empty lines", "\n\na\n\n", "\n\na\n\n"},
		{"CRLF stays", "a\r\nb\r\n", "a\r\nb\r\n"},
		{"NUL stays", "a\x00b\n\x00\x00\nc\n", "a\x00b\n\x00\x00\nc\n"},
		{"binary garbage is lines", "\x1f\x8b\x07\xff\n\xfd7z\n", "\x1f\x8b\x07\xff\n\xfd7z\n"},
		{"shorter than any magic", "B", "B\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stats, err := read(t, ArchiveOptions{}, write(t, "log", []byte(c.file)))
			if err != nil || len(stats.Warnings) > 0 {
				t.Fatal(err, stats.Warnings)
			}
			same(t, got, c.want)
		})
	}
}

func TestEmptyFileIsAWarning(t *testing.T) {
	for name, file := range map[string][]byte{"plain": nil, "gzip": gz(t, nil, time.Time{}), "xz": xzip(t, nil)} {
		got, stats, err := read(t, ArchiveOptions{}, write(t, name, file))
		if got != "" || err != nil || len(stats.Warnings) != 1 || !strings.Contains(stats.Warnings[0], "empty") {
			t.Errorf("%s: %q, %v, %q", name, got, err, stats.Warnings)
		}
	}
}

// What cannot be read is named, and the rest is read all the same.
func TestNotFiles(t *testing.T) {
	dir := t.TempDir()
	good := write(t, "good", []byte("1 a\n"))
	other := write(t, "other", []byte("2 b\n"))
	got, _, err := read(t, ArchiveOptions{Time: unixTime}, good, dir, filepath.Join(dir, "gone"), os.DevNull, other)
	same(t, got, "1 a\n2 b\n")
	if !errors.Is(err, ErrNotFile) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error: %v", err)
	}
	for _, want := range []string{
		"read " + dir + ": is a directory: name the files in it",
		"read " + filepath.Join(dir, "gone") + ": no such file or directory",
		"read " + os.DevNull + ": is a device",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	f, ok := errors.AsType[*FileError](err)
	if !ok || f.File != dir {
		t.Errorf("the first broken file is %+v", f)
	}
}

func TestPermission(t *testing.T) {
	path := write(t, "secret", []byte("1 a\n"))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Skip("this user may read files without the permission to (root)")
	}
	_, _, err := read(t, ArchiveOptions{}, path)
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("error: %v", err)
	}
}

// An archive that breaks off gives its whole lines, and an error that says how
// many those were. The next file is read all the same.
func TestTruncated(t *testing.T) {
	data := sample(6000)
	next := write(t, "next", []byte("1090009999 next\n"))
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"gzip", gz(t, data, time.Time{})}, {"bzip2", bz2(t)}, {"xz", xzip(t, data)}, {"zstd", zst(t, data)},
	} {
		t.Run(c.name, func(t *testing.T) {
			best := 0
			for i := range 41 {
				cut := min(magicLen+i*(len(c.file)-magicLen)/40, len(c.file)-1)
				path := write(t, "log", c.file[:cut])
				got, stats, err := read(t, ArchiveOptions{Time: unixTime, MaxLine: 1000, Block: 16000}, path, next)
				if !errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt) {
					t.Fatalf("cut at %d of %d: error %v", cut, len(c.file), err)
				}
				f, _ := errors.AsType[*FileError](err)
				good := strings.TrimSuffix(got, "1090009999 next\n")
				if good == got || !strings.HasPrefix(string(data), good) {
					t.Fatalf("cut at %d: the lines are not the good part and the next file", cut)
				}
				if n := strings.Count(good, "\n"); f.Line != uint64(n) || f.File != path || f.Offset != int64(cut) {
					t.Fatalf("cut at %d after %d lines: %+v", cut, n, f)
				}
				if stats.PartLines > 1 {
					t.Errorf("%d unfinished lines in one file", stats.PartLines)
				}
				best = max(best, len(good))
			}
			if best < len(data)/3 {
				t.Errorf("at most %d of %d bytes were saved", best, len(data))
			}
		})
	}
}

// A file that is emptied in place (copytruncate), or replaced, while it is read
// is not all there, and that is said.
func TestShorter(t *testing.T) {
	data := sample(6000)
	for name, change := range map[string]func(path string) error{
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, int64(len(data)/2)) },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("1090009999 next\n"), 0o600))
		},
	} {
		first, second := write(t, "first", lines(data, 0, 2000)), write(t, "second", lines(data, 2000, 6000))
		done := false
		_, err := ReadArchives(t.Context(), []string{first, second}, ArchiveOptions{Time: unixTime, MaxLine: 1000, Block: 16000}, func(*Block) error {
			if done {
				return nil
			}
			done = true
			return change(second)
		})
		f, ok := errors.AsType[*FileError](err)
		if !errors.Is(err, ErrShorter) || !ok || f.File != second {
			t.Errorf("%s: error %v", name, err)
		}
	}
	path := write(t, "log", data)
	_, err := ReadArchives(t.Context(), []string{path}, ArchiveOptions{MaxLine: 1000, Block: 16000}, func(*Block) error { return os.WriteFile(path, append(data, data...), 0o600) })
	if err != nil {
		t.Errorf("one that grows: %v", err)
	}
}

// TestTruncatedXZ cuts an xz file of two streams everywhere: at the end of the
// first it is complete.
func TestTruncatedXZ(t *testing.T) {
	one, other := xzip(t, sample(20)), xzip(t, sample(30))
	file := append(append(slices.Clone(one), make([]byte, 8)...), other...)
	for cut := magicLen; cut < len(file); cut++ {
		_, _, err := read(t, ArchiveOptions{MaxLine: 1000, Block: 16000}, write(t, "log", file[:cut]))
		whole := cut == len(one) || cut == len(one)+4 || cut == len(one)+8
		if whole != (err == nil) || err != nil && !errors.Is(err, ErrTruncated) && (cut < len(one) || cut > len(one)+8) {
			t.Errorf("cut at %d of %d and %d: error %v", cut, len(one), len(file), err)
		}
	}
	if _, _, err := read(t, ArchiveOptions{}, write(t, "log", append(file, make([]byte, 40_000)...))); err != nil {
		t.Errorf("zeros behind it: %v", err)
	}
}

func TestDamaged(t *testing.T) {
	data := sample(6000)
	for _, c := range []struct {
		name string
		file []byte
		at   int // where a byte is turned over; <0: from the end
	}{
		{"gzip checksum", gz(t, data, time.Time{}), -6},
		{"gzip garbage behind", append(gz(t, data, time.Time{}), "garbage"...), 0},
		{"gzip zeros and garbage behind", append(gz(t, data, time.Time{}), "\x00\x00x"...), 0},
		{"bzip2 checksum", bz2(t), 11},
		{"xz block", xzip(t, data), 3000},
		{"zstd block", zst(t, data), -3},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := bytes.Clone(c.file)
			if c.at != 0 {
				file[(len(file)+c.at)%len(file)] ^= 0xff
			}
			got, _, err := read(t, ArchiveOptions{}, write(t, "log", file))
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("error: %v", err)
			}
			if !strings.HasPrefix(string(data), got) {
				t.Error("what was delivered is not the good part")
			}
		})
	}
}

// A gzip file may be wrong from anywhere up to its end, where the checksum is: it
// does not say that the lines are good.
func TestDamagedIsNotCalledGood(t *testing.T) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	pack(t, w, sample(100))
	file := b.Bytes()
	file[len(file)/2] ^= 1
	got, _, err := read(t, ArchiveOptions{}, write(t, "log", file))
	if got == string(sample(100)) || strings.Count(got, "\n") < 99 {
		t.Fatal("the damage is not in the lines")
	}
	if err == nil || strings.Contains(err.Error(), "good up to") || !strings.Contains(err.Error(), "may be wrong") {
		t.Errorf("error: %v", err)
	}
}

type failing struct{ io.Reader }

var errDisk = errors.New("disk on fire")

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

// A disk error is neither a cut nor a damaged archive.
func TestReadError(t *testing.T) {
	for name, file := range map[string][]byte{"plain": []byte("a\nb\nhal"), "gzip": gz(t, sample(9), time.Time{})[:60]} {
		_, stats, err := read(t, ArchiveOptions{Stdin: failing{bytes.NewReader(file)}}, "-")
		if !errors.Is(err, errDisk) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error %v", name, err)
		}
		if name == "plain" && (stats.Lines != 2 || stats.PartLines != 1) {
			t.Errorf("stats: %+v", stats)
		}
	}
}

func TestCallbackStops(t *testing.T) {
	stop := errors.New("enough")
	paths := []string{write(t, "a", sample(300)), write(t, "b", sample(300))}
	calls := 0
	_, err := ReadArchives(t.Context(), paths, ArchiveOptions{}, func(*Block) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := write(t, "a", sample(300))
	calls := 0
	_, err := ReadArchives(ctx, []string{path}, ArchiveOptions{Block: 400, MaxLine: 100}, func(*Block) error {
		calls++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

// Nobody writes to the pipe: the end of the context ends the reading.
func TestCancelHangingStdin(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.WriteString(out, "a\nhalf a line")
		cancel()
	}()
	_, err := ReadArchives(ctx, []string{"-"}, ArchiveOptions{Stdin: in}, func(*Block) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A pipe's lines are handed out when they come, not when a block is full.
func TestStdinIsEager(t *testing.T) {
	in, out := io.Pipe()
	got := make(chan string)
	go func() {
		defer out.Close()
		_, _ = io.WriteString(out, "first\nsec")
		<-got
		_, _ = io.WriteString(out, "ond\n")
	}()
	var lines []string
	_, err := ReadArchives(t.Context(), []string{"-"}, ArchiveOptions{Stdin: in}, func(b *Block) error {
		if lines = append(lines, string(b.Data)); len(lines) == 1 {
			got <- lines[0]
		}
		return nil
	})
	if err != nil || strings.Join(lines, "|") != "first\n|second\n" {
		t.Errorf("%q, %v", lines, err)
	}
}

// All blocks may be retained; the reader goes on as soon as one is released.
func TestRetain(t *testing.T) {
	data := sample(3000)
	path := write(t, "a", data)
	blocks := make(chan *Block, 3)
	done := make(chan string)
	go func() {
		var out strings.Builder
		for b := range blocks {
			out.Write(b.Data)
			b.Release()
		}
		done <- out.String()
	}()
	_, err := ReadArchives(t.Context(), []string{path}, ArchiveOptions{Buffers: 3, Block: 1000, MaxLine: 100}, func(b *Block) error {
		b.Retain()
		blocks <- b
		return nil
	})
	close(blocks)
	if err != nil {
		t.Fatal(err)
	}
	same(t, <-done, string(data))
}

func TestRetainAllAndCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err := ReadArchives(ctx, []string{write(t, "a", sample(3000))}, ArchiveOptions{Buffers: 3, Block: 1000, MaxLine: 100}, func(b *Block) error {
		b.Retain()
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Errorf("%d blocks, error %v", n, err)
	}
}

func TestProgress(t *testing.T) {
	data := bytes.Repeat(sample(3000), 100) // 9 MB
	a, b := write(t, "a", data), write(t, "b", gz(t, sample(10), time.Time{}))
	var seen []int64
	_, stats, err := read(t, ArchiveOptions{Progress: func(n, total int64) {
		if want := int64(len(data)); total <= want {
			t.Errorf("total is %d", total)
		}
		seen = append(seen, n)
	}}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 3 || len(seen) > 6 || seen[len(seen)-1] != stats.Read || stats.Read <= int64(len(data)) {
		t.Errorf("progress %v, read %d", seen, stats.Read)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i] < seen[i-1] {
			t.Errorf("progress goes back: %v", seen)
		}
	}
}

// TestBlocksTakeTurns: a consumer that holds one block at a time is given so many in turn
// that together they are no less than 1 MiB, and no more than there may be.
func TestBlocksTakeTurns(t *testing.T) {
	for _, x := range []struct{ blocks, size, want int }{{8, 256 << 10, 4}, {8, 300 << 10, 4}, {8, 1 << 20, 1}, {8, 4 << 20, 1}, {3, 1000, 3}, {8, 1000, 8}} {
		p := newPool(x.blocks, x.size)
		var order []*Block
		for range 3 * x.want {
			b, err := p.get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			order = append(order, b)
			b.Release()
		}
		for i, b := range order {
			if n := slices.Index(order, b); n != i%x.want {
				t.Errorf("%d blocks of %d bytes: number %d is block %d, want %d", x.blocks, x.size, i, n, i%x.want)
				break
			}
		}
	}
}
