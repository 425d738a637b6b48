package source

import (
	"bufio"
	"errors"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
)

// members reads all members of a gzip file. Zero bytes behind the last one,
// with which tapes and some file systems fill up, are no error (gzip(1) agrees).
type members struct {
	in      *bufio.Reader
	z       *gzip.Reader
	modTime time.Time // of the first member; zero when the header has none
}

var errTrailing = errors.New("gzip: garbage after the last member")

func newMembers(r io.Reader) (*members, error) {
	m := &members{in: buffered(r)}
	z, err := gzip.NewReader(m.in)
	if err != nil {
		return nil, unexpected(err)
	}
	z.Multistream(false)
	m.z = z
	if z.ModTime.Unix() != 0 { // 0 is none (RFC 1952 2.3.1): gzip -n, or the log came through a pipe
		m.modTime = z.ModTime
	}
	return m, nil
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err := m.nextMember(); err != nil {
			return 0, err
		}
	}
}

// nextMember goes on to the next member; io.EOF when there is none.
func (m *members) nextMember() error {
	switch b, err := m.in.ReadByte(); {
	case err != nil:
		return err
	case b == 0:
		return m.zeros()
	case b != 0x1f:
		return errTrailing
	}
	if err := m.in.UnreadByte(); err != nil {
		return err
	}
	if err := m.z.Reset(m.in); err != nil {
		return unexpected(err)
	}
	m.z.Multistream(false)
	return nil
}

// zeros reads to the end and wants nothing but zero bytes.
func (m *members) zeros() error {
	for {
		switch b, err := m.in.ReadByte(); {
		case err != nil:
			return err
		case b != 0:
			return errTrailing
		}
	}
}

// unexpected makes an end inside a header what it is.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
