package source

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// An opened is a file of the log that is being read: the one at the path, one
// that has been renamed, or an archive of the time when nobody was reading.
type opened struct {
	path string // symbolic links resolved
	file *os.File
	info fs.FileInfo // as it was opened
	key  fileKey
	text io.ReaderAt // the file, or what is packed in it
	zip  *unpacked   // nil for a plain file

	off      int64 // behind the last line
	skipping bool  // inside a line that is too long,
	scan     int64 // of which this much has been seen

	head     []byte // the first bytes, at most headSize, never more than off
	print    string // their hash
	first    string // hash of the first line, if it ends in the head
	firstLen int
	modified int64     // when it was written to, as far as is known of the time when it was at the path
	prev     *opened   // what lies before it without a gap
	quiet    time.Time // since when a draining file has not grown
	partial  bool      // something lies behind off that is no line yet
	copied   bool      // it is a copy, made before the file at the path was emptied
	torn     bool      // it begins with the rest of a line whose beginning is elsewhere
	kept     bool      // its descriptor must stay open
}

var errTruncated = errors.New("the file was emptied")

// resolve follows the symbolic links of a path, as far as they lead anywhere.
func resolve(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

// openFile opens a regular file and nothing else, without ever blocking.
func openFile(path string) (*opened, error) {
	resolved := resolve(path)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, bare(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notFileError("is no regular file")
	}
	if err != nil {
		_ = f.Close()
		return nil, bare(err)
	}
	t := &opened{path: resolved, file: f, info: info, key: keyOf(info), text: f, modified: info.ModTime().UnixNano()}
	magic := make([]byte, magicLen)
	n, _ := f.ReadAt(magic, 0)
	if formatOf(magic[:n]) != Plain {
		t.zip = &unpacked{file: f}
		t.text = t.zip
	}
	return t, nil
}

func (t *opened) close() {
	if t.zip != nil {
		t.zip.close()
	}
	if !t.kept {
		_ = t.file.Close() // it was only read
	}
}

// position is the place behind the last line.
func (t *opened) position() FilePosition {
	return FilePosition{Path: t.path, Device: t.key.device, Inode: t.key.inode, Offset: t.off, Head: t.print, HeadLen: len(t.head), First: t.first, FirstLen: t.firstLen, Modified: t.modified}
}

// advance moves behind a line, and learns the head on the way.
func (t *opened) advance(n int, text []byte) {
	if room := headSize - len(t.head); room > 0 && t.off == int64(len(t.head)) {
		t.setHead(append(t.head, text[:min(n, room)]...))
	}
	t.off += int64(n)
}

func (t *opened) setHead(head []byte) {
	t.head, t.print = head, fingerprint(head)
	t.firstLen = bytes.IndexByte(head, '\n') + 1
	t.first = fingerprint(head[:t.firstLen])
}

// resume goes to a place that was saved. It reads the head again, so that a
// file which is emptied later is noticed.
func (t *opened) resume(off int64) error {
	head := make([]byte, min(headSize, off))
	n, err := t.text.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	t.off = off
	t.setHead(head[:n])
	return nil
}

// goOn is resume at a place where a line begins, unless the file was edited since:
// then the rest of the line is passed over, it must not be taken for one.
func (t *opened) goOn(off int64) error {
	if err := t.resume(off); err != nil || off == 0 {
		return err
	}
	before := make([]byte, 1)
	n, err := t.text.ReadAt(before, off-1)
	if n == 0 && err != nil && err != io.EOF {
		return err
	}
	if n == 1 && before[0] != '\n' && before[0] != 0 { // zeros are passed over as if they were lines
		t.torn, t.skipping, t.scan = true, true, off
	}
	return nil
}

// goOnAt is goOn at a place that may lie behind the end: a copy may have been made
// before the last lines were read.
func (t *opened) goOnAt(off int64) error {
	if t.zip == nil {
		size, err := t.size()
		if err != nil {
			return err
		}
		off = min(off, size)
	}
	return t.goOn(off)
}

// same says whether the file still begins as it did. Archives do not change. An
// error says that it cannot be read now: that does not mean that it was emptied.
func (t *opened) same() (bool, error) {
	if t.zip != nil || len(t.head) == 0 {
		return true, nil
	}
	var now [headSize]byte
	n, err := t.file.ReadAt(now[:len(t.head)], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	return bytes.Equal(now[:n], t.head), nil
}

// restart goes back to the beginning of a file that was emptied.
func (t *opened) restart() {
	t.off, t.scan, t.skipping, t.partial = 0, 0, false, false
	t.prev, t.torn = nil, false
	t.setHead(nil)
}

// half says whether the file ends in the middle of a line, as far as it was read.
func (t *opened) half() bool { return t.partial || t.skipping }

// size is the size on disk now.
func (t *opened) size() (int64, error) {
	info, err := t.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// written is when the file was written to last, as it is now.
func (t *opened) written() int64 {
	info, err := t.file.Stat()
	if err != nil {
		return t.modified
	}
	return info.ModTime().UnixNano()
}

// lag is how many bytes on disk are still to be read; 0 when that cannot be known.
func (t *opened) lag() int64 {
	size, _ := t.size()
	if t.zip != nil {
		return max(0, size-t.zip.read())
	}
	return max(0, size-max(t.off, t.scan))
}

// toEnd goes behind the last whole line of a file. A line under way will be
// delivered when it is complete, unless it is too long already.
func (t *opened) toEnd(limit int) error {
	size, err := t.size()
	if err != nil {
		return err
	}
	back := min(size, int64(limit)+1)
	buf := make([]byte, back)
	n, err := t.text.ReadAt(buf, size-back)
	if err != nil && err != io.EOF {
		return err
	}
	i := bytes.LastIndexByte(buf[:n], '\n')
	if i < 0 && back < size {
		if err := t.resume(size); err != nil {
			return err
		}
		t.skipping, t.scan = true, size
		return nil
	}
	return t.resume(size - back + int64(i) + 1)
}

// unpacked is a compressed file that is read from the front to the back.
type unpacked struct {
	file *os.File
	in   *counter
	dec  decoder
	pos  int64  // uncompressed bytes taken from dec
	last []byte // the bytes before pos, so that a line can be looked at again
}

func (u *unpacked) close() {
	if u.dec.Reader != nil {
		u.dec.close()
		u.dec = decoder{}
	}
}

func (u *unpacked) read() int64 {
	if u.in == nil {
		return 0
	}
	return u.in.n
}

// ReadAt reads on, or again what the last call gave; anywhere else it begins anew.
func (u *unpacked) ReadAt(p []byte, off int64) (int, error) {
	if u.dec.Reader == nil || off < u.pos-int64(len(u.last)) {
		u.close()
		if _, err := u.file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		u.in = &counter{r: u.file}
		var err error
		if u.dec, err = decode(u.in); err != nil {
			u.dec = decoder{}
			return 0, err
		}
		u.pos, u.last = 0, nil
	}
	if gap := off - u.pos; gap > 0 {
		n, err := io.CopyN(io.Discard, u.dec, gap)
		u.pos += n
		u.last = u.last[:0]
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, u.last[int64(len(u.last))-(u.pos-off):]) // all of it, or p is full and ends before pos
	if n == len(p) {
		return n, nil
	}
	var err error
	for n < len(p) && err == nil {
		var m int
		m, err = u.dec.Read(p[n:])
		n += m
	}
	u.pos = off + int64(n)
	u.last = append(u.last[:0], p[:n]...)
	return n, err
}

// headOf returns the first bytes of a file, uncompressed; of a damaged archive
// what there is of them.
func (t *opened) headOf() ([]byte, error) {
	head := make([]byte, headSize)
	n, err := t.text.ReadAt(head, 0)
	if err != nil && err != io.EOF && t.zip == nil {
		return nil, err
	}
	return slices.Clip(head[:n]), nil
}
