package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// An archive is one file of the log.
type archive struct {
	path    string
	index   int // in the caller's list
	info    fs.FileInfo
	modTime time.Time
	start   time.Time // of the first line with a time
	timed   bool      // start is known, and the file takes part in merging
	looked  bool      // for start
	early   int64     // the time of a line near the head: of two that start in one second the shorter goes first

	maxLine int
	stdin   io.Reader // not nil: this is standard input
	in      counter   // the file as it lies on disk
	file    *os.File
	dec     decoder
	lines   lineReader
	peeked  []byte // lines of a stream that were read ahead
	long    uint64 // number of the first line that was too long
	stats   FileStats
}

// A counter counts the bytes that were read, and keeps the error of the
// reading itself apart from what a decoder says later.
type counter struct {
	r   io.Reader
	n   int64
	err error // but for io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// stat looks at the file without opening it: a named pipe would block.
func (a *archive) stat() error {
	info, err := os.Stat(a.path)
	if err != nil {
		return bare(err)
	}
	what := ""
	switch mode := info.Mode(); {
	case mode.IsRegular(), isDescriptor(a.path):
	case mode.IsDir():
		what = "is a directory: name the files in it"
	case mode&fs.ModeNamedPipe != 0:
		what = "is a named pipe: use '- <" + a.path + "'"
	case mode&fs.ModeSocket != 0:
		what = "is a socket"
	case mode&fs.ModeDevice != 0:
		what = "is a device"
	default:
		what = "is no file: " + mode.String()
	}
	if what != "" {
		return notFileError(what)
	}
	a.info, a.modTime = info, info.ModTime()
	return nil
}

// notFileError says what a path is instead of a file.
type notFileError string

func (e notFileError) Error() string      { return string(e) }
func (notFileError) Is(target error) bool { return target == ErrNotFile }

// isDescriptor knows the names shells give to pipes they have opened already.
func isDescriptor(path string) bool {
	return strings.HasPrefix(path, "/dev/fd/") || path == "/dev/stdin"
}

// bare takes the operation and the path off an error: FileError says them.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// begin opens the file, or does nothing when it is open.
func (a *archive) begin(ctx context.Context) error {
	if a.dec.Reader != nil {
		return nil
	}
	eager := false
	switch {
	case a.stdin != nil:
		a.in = counter{r: a.stdin}
	default:
		f, err := os.Open(a.path)
		if err != nil {
			return bare(err)
		}
		a.file, a.in = f, counter{r: f}
	}
	if !a.regular() {
		a.in.r, eager = newInterruptible(ctx, a.in.r), true
	}
	dec, err := decode(&a.in)
	a.stats.Format = dec.format
	if err != nil {
		return err
	}
	a.dec = dec
	a.lines = lineReader{r: dec, max: a.maxLine, eager: eager && dec.format == Plain}
	if !dec.modTime.IsZero() {
		a.modTime = dec.modTime
	}
	a.stats.ModTime = a.modTime
	return nil
}

func (a *archive) regular() bool { return a.info != nil && a.info.Mode().IsRegular() }

// stream says that what has been read of it cannot be read again.
func (a *archive) stream() bool { return a.stdin != nil || !a.regular() }

// shorter says that a file which has been read to its end had more in it at the
// start: somebody emptied it, or put another in its place. Of an archive its
// decoder says so.
func (a *archive) shorter() bool {
	return !a.stream() && a.stats.Format == Plain && a.in.n < a.info.Size()
}

// next reads lines into buf; an open file is needed.
func (a *archive) next(buf []byte) ([]byte, error) {
	if len(a.peeked) > 0 {
		n := copy(buf, a.peeked)
		if n < len(a.peeked) {
			n = bytes.LastIndexByte(buf[:n], '\n') + 1
		}
		a.peeked = a.peeked[n:]
		return buf[:n], nil
	}
	if a.dec.Reader == nil {
		return nil, io.EOF
	}
	return a.lines.next(buf)
}

// close may be called more than once.
func (a *archive) close() {
	if a.dec.Reader != nil {
		a.dec.close()
		a.dec.Reader = nil
	}
	if a.file != nil {
		_ = a.file.Close() // it was only read
		a.file = nil
	}
}

// fault makes the error that ended a file what the caller gets.
func (a *archive) fault(err error) *FileError {
	e := &FileError{File: a.path, Format: a.stats.Format, Offset: a.in.n, Line: a.stats.Lines, Err: bare(err)}
	switch {
	case a.in.err != nil || e.Format == Plain:
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Kind = ErrTruncated
	default:
		e.Kind = ErrCorrupt
	}
	return e
}

const day = 24 * time.Hour

// findStart looks for the first time in the first lines of the file.
func (a *archive) findStart(data []byte, when func([]byte, time.Time) (time.Time, bool)) {
	if when == nil || a.looked {
		return
	}
	a.looked = true
	for len(data) > 0 {
		var line []byte
		line, data = cutLine(data)
		t, ok := when(line, a.modTime)
		if !ok {
			continue
		}
		// No line is younger than its file: in the log of a whole year the
		// first stamp's nearest year is the wrong one.
		if !a.modTime.IsZero() && t.After(a.modTime.Add(day)) {
			if earlier, ok := when(line, a.modTime.Add(-365/2*day)); ok && earlier.Before(t) {
				t = earlier
			}
		}
		a.start, a.stats.Start = t, t
		return
	}
}
