package source

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A footed reads an xz stream that must end as one: the decoder takes a file
// that breaks off in front of a block, or inside of its header, for complete.
type footed struct {
	io.Reader
	file *tail
}

func (f footed) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF && !isFooter(f.file.last) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// A tail keeps the last bytes that were read in front of the zeros with which
// a stream may be filled up (.xz file format 2.2).
type tail struct {
	r     io.Reader
	last  []byte // footerLen of them, or all
	zeros int    // that came behind last
}

func (t *tail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if data := bytes.TrimRight(p[:n], "\x00"); len(data) > 0 {
		t.last = append(t.last, make([]byte, min(t.zeros, footerLen))...)
		t.last = append(t.last, data[max(len(data)-footerLen, 0):]...)
		t.last = t.last[max(len(t.last)-footerLen, 0):]
		t.zeros = n - len(data)
	} else {
		t.zeros += n
	}
	return n, err
}

const footerLen = 12

// isFooter says whether b is the end of a stream (.xz file format 2.1.2).
func isFooter(b []byte) bool {
	return len(b) == footerLen && bytes.HasSuffix(b, []byte("YZ")) && binary.LittleEndian.Uint32(b) == crc32.ChecksumIEEE(b[4:10])
}
