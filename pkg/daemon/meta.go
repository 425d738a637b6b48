package daemon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/source"
	"github.com/postmoat/postmoat/pkg/wire"
)

// metaMagic begins a snapshot, and metaVersion changes when older ones can't be
// read any more.
const (
	metaMagic   = "postmoat daemon\n"
	metaVersion = 2
)

// meta is what a snapshot holds before the engine's own state: among it the
// places in the logs for which that state is true.
type meta struct {
	Since   int64
	Sources []sourceState
	Paused  string
	Allow   allow.State
}

type sourceState struct {
	Key    string
	Number uint32
	Place  source.Position
	// Begins is where it begins without a place: a log that was empty until the
	// stop is read from its first line.
	Begins source.Start
	Shift  int64
}

// encode writes it with its length in front, so that a reader of it stops where
// the engine's state begins. Package gob would do the same, but costs each run of
// each command a twentieth of its start.
func (m meta) encode(w io.Writer) error {
	var b bytes.Buffer
	c := coder{w: wire.NewWriter(&b)}
	c.meta(&m)
	if err := c.w.Close(); err != nil {
		return err
	}
	head := append([]byte(metaMagic), metaVersion)
	_, err := w.Write(binary.BigEndian.AppendUint64(head, uint64(b.Len())))
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	return err
}

func decodeMeta(r io.Reader) (m meta, err error) {
	head := make([]byte, len(metaMagic)+9)
	if _, err := io.ReadFull(r, head); err != nil {
		return m, err
	}
	rest, ok := bytes.CutPrefix(head, []byte(metaMagic))
	if !ok {
		return m, errors.New("this is not a state of postmoat, or of an older version")
	}
	if rest[0] != metaVersion {
		return m, fmt.Errorf("version %d, this postmoat reads %d", rest[0], metaVersion)
	}
	size := binary.BigEndian.Uint64(rest[1:])
	if size > maxMeta {
		return m, fmt.Errorf("%d bytes where at most %d are possible", size, int64(maxMeta))
	}
	own := &io.LimitedReader{R: r, N: int64(size)}
	c := coder{r: wire.NewReader(own)}
	c.meta(&m)
	if err := c.r.Close(); err != nil {
		return m, err
	}
	_, err = io.Copy(io.Discard, own)
	return m, err
}

const (
	maxMeta = 1 << 32 // bytes
	maxList = 1 << 24 // members of a list
	maxWord = 1 << 16 // bytes of a text
)

// A coder reads or writes, so that both know the same fields.
type coder struct {
	w *wire.Writer
	r *wire.Reader
}

func (c *coder) meta(m *meta) {
	num(c, &m.Since)
	list(c, &m.Sources, func(s *sourceState) {
		c.text(&s.Key)
		num(c, &s.Number)
		c.position(&s.Place)
		num(c, &s.Begins)
		num(c, &s.Shift)
	})
	c.text(&m.Paused)
	c.allow(&m.Allow)
}

func (c *coder) position(p *source.Position) {
	num(c, &p.Seq)
	c.file(&p.File)
	list(c, &p.Draining, c.file)
	c.flag(&p.Copies)
	num(c, &p.Home)
	c.text(&p.Cursor)
	num(c, &p.Time)
}

func (c *coder) file(f *source.FilePosition) {
	c.text(&f.Path)
	num(c, &f.Device)
	num(c, &f.Inode)
	num(c, &f.Offset)
	c.text(&f.Head)
	num(c, &f.HeadLen)
	c.text(&f.First)
	num(c, &f.FirstLen)
	num(c, &f.Modified)
	c.flag(&f.Done)
}

func (c *coder) allow(s *allow.State) {
	list(c, &s.Additions, func(a *allow.Addition) {
		c.prefix(&a.Prefix)
		num(c, &a.Until)
		c.flag(&a.Persist)
		c.text(&a.Because)
	})
	list(c, &s.Folders, c.text)
	list(c, &s.Files, func(f *allow.FileState) {
		c.text(&f.Path)
		c.text(&f.Folder)
		list(c, &f.Items, func(x *allow.Item) {
			num(c, &x.Line)
			c.prefix(&x.Prefix)
			c.text(&x.Name)
		})
	})
	list(c, &s.Names, func(n *allow.NameState) {
		c.text(&n.Name)
		c.flag(&n.MX)
		list(c, &n.V4, c.addr)
		list(c, &n.V6, c.addr)
		c.flag(&n.More)
		num(c, &n.At4)
		num(c, &n.At6)
		list(c, &n.Hosts, c.text)
		num(c, &n.AtHosts)
		num(c, &n.FirstAsked)
	})
}

// num is for numbers of all kinds; one that is larger than its kind was not
// written by us, and the checksum says so.
func num[T ~int | ~int64 | ~uint8 | ~uint32 | ~uint64](c *coder, x *T) {
	if c.w != nil {
		c.w.Int(int64(*x))
	} else {
		*x = T(c.r.Int())
	}
}

func (c *coder) flag(x *bool) {
	if c.w != nil {
		c.w.Bool(*x)
	} else {
		*x = c.r.Bool()
	}
}

func (c *coder) text(x *string) {
	if c.w != nil {
		c.w.String(*x)
	} else {
		*x = c.r.String(maxWord)
	}
}

func (c *coder) addr(x *netip.Addr) {
	if c.w != nil {
		c.w.Addr(*x)
	} else {
		*x = c.r.Addr()
	}
}

func (c *coder) prefix(x *netip.Prefix) {
	if c.w != nil {
		c.w.Prefix(*x)
	} else {
		*x = c.r.Prefix()
	}
}

func list[T any](c *coder, xs *[]T, each func(*T)) {
	if c.w != nil {
		c.w.Uint(uint64(len(*xs)))
		for i := range *xs {
			each(&(*xs)[i])
		}
		return
	}
	for n := c.r.Len(maxList); n > 0 && c.r.Err() == nil; n-- {
		var x T
		each(&x)
		*xs = append(*xs, x)
	}
}
