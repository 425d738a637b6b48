package allow

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var (
	errTooLarge   = errors.New("too large")
	errNotRegular = errors.New("not a regular file")
)

// under gives the path below the root of the file system that is looked at.
func (o Options) under(path string) string { return filepath.Join(o.Root, path) }

// open opens a regular file and nothing else. Opening must not block on a FIFO
// that somebody put there (logind keeps some beside its session files).
func (o Options) open(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(o.under(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, reason(err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, reason(err)
	}
	return f, st, nil
}

// read reads a regular file of at most limit bytes.
func (o Options) read(path string, limit int64) ([]byte, error) {
	f, _, err := o.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}

func readAll(f io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, reason(err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	return b, nil
}

// reason strips the path that package os puts into its errors: whoever reports
// names the path himself, without the root of a test.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
