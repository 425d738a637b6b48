package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// A Format is how a file is compressed. It is known by the first bytes, never
// by the name.
type Format uint8

// The formats.
const (
	Plain Format = iota
	Gzip
	Bzip2
	XZ
	Zstd
)

func (f Format) String() string {
	switch f {
	case Plain:
		return "plain"
	case Gzip:
		return "gzip"
	case Bzip2:
		return "bzip2"
	case XZ:
		return "xz"
	case Zstd:
		return "zstd"
	}
	return "format?"
}

// magicLen is enough to tell the formats apart.
const magicLen = 6

// formatOf knows a format by its first bytes: RFC 1952, bzip2's "BZh1" to
// "BZh9", the .xz file format 2.1.1.1, RFC 8878 3.1.1 (a skippable frame first,
// 3.1.2, is what pzstd writes).
func formatOf(head []byte) Format {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return Gzip
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 3 && '1' <= head[3] && head[3] <= '9':
		return Bzip2
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return XZ
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	case len(head) > 3 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return Zstd
	}
	return Plain
}

// zstdWindow is the largest window a decoder grants: that of zstd --long, which
// is what the zstd program grants unasked.
const zstdWindow = 128 << 20

// A decoder is a decompressed stream.
type decoder struct {
	io.Reader
	format  Format
	modTime time.Time // from the archive's header, zero when it has none
	close   func()
}

// decode finds the format of r and opens it. Plain files are read straight into
// the caller's buffer. A file without a byte is io.EOF.
func decode(r io.Reader) (decoder, error) {
	head := make([]byte, magicLen)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return decoder{}, err
	}
	head = head[:n]
	d := decoder{format: formatOf(head), close: func() {}}
	whole := io.MultiReader(bytes.NewReader(head), r)
	switch d.format {
	case Plain:
		d.Reader = whole
	case Gzip:
		var z *members
		if z, err = newMembers(whole); err == nil {
			d.Reader, d.modTime = z, z.modTime
		}
	case Bzip2:
		d.Reader = bzip2.NewReader(buffered(whole))
	case XZ:
		t := &tail{r: whole}
		var z *xz.Reader
		if z, err = xz.NewReader(buffered(t)); err == nil {
			d.Reader = footed{z, t}
		}
	case Zstd:
		// One goroutine, and that the caller's: parallel work is the
		// caller's to arrange.
		var z *zstd.Decoder
		z, err = zstd.NewReader(whole, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err == nil {
			d.Reader, d.close = z, z.Close
		}
	}
	if d.Reader == nil {
		return d, err
	}
	return d, nil
}

func buffered(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 256<<10) }
