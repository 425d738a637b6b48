package source

import (
	"bytes"
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/postmoat/postmoat/pkg/linefeed"
)

// A Block is a run of whole lines of a log.
//
// It belongs to the reader: Data is valid until the callback returns, unless
// the callback calls [Block.Retain].
type Block struct {
	// File is the path of the file the first line comes from, "-" for
	// standard input, and FileIndex its place in the caller's list. A block
	// merged from overlapping files may hold lines of the others too.
	File      string
	FileIndex int

	// ModTime is when the file was last written: what a gzip header says,
	// else the file system; zero for a pipe. Start is the time of the file's
	// first line that has one, zero when that is not known. Either is a
	// reference for stamps without a year, Start the better one.
	ModTime time.Time
	Start   time.Time

	// Data holds lines, and Ends is where each ends in it: at its \n, or behind
	// the last byte, for perhaps the last line of a file has none. A line that
	// was dropped because it is too long is left as an empty one, so that numbers
	// and neighbours hold.
	Data []byte
	Ends []uint32

	// FirstLine is the number of the first line in the whole log, and FileLine
	// its number in File, from 1; FileLine is 0 in a block merged from several.
	FirstLine uint64
	FileLine  uint64

	buf  []byte
	refs atomic.Int32
	pool *pool
}

// All yields each line without its \n, and its number in the whole log.
func (b *Block) All() iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		at := uint32(0)
		for i, end := range b.Ends {
			if !yield(b.FirstLine+uint64(i), b.Data[at:end]) {
				return
			}
			at = end + 1
		}
	}
}

// Retain keeps the block valid after the callback has returned, until
// [Block.Release]. It must be called inside the callback. A reader has
// [ArchiveOptions.Buffers] blocks: when all are retained it waits.
func (b *Block) Retain() { b.refs.Add(1) }

// Release gives a retained block back. Any goroutine may call it, once for
// each Retain; the block must not be touched afterwards.
func (b *Block) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		b.pool.free <- b
	case n < 0:
		panic("source: block released more often than retained")
	}
}

// cutLine returns the first line of data without its \n, and what follows.
func cutLine(data []byte) (line, rest []byte) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return data[:i], data[i+1:]
	}
	return data, nil
}

// hold makes data what the block holds.
func (b *Block) hold(data []byte) {
	b.Data, b.Ends = data, lineEnds(b.Ends[:0], data)
}

// lineEnds appends the ends of the lines in data, as in Block.Ends.
func lineEnds(ends []uint32, data []byte) []uint32 {
	ends = linefeed.Append(ends, data)
	if n := len(data); n > 0 && data[n-1] != '\n' {
		ends = append(ends, uint32(n))
	}
	return ends
}

var newline = []byte{'\n'}

// A pool is a fixed number of blocks, made when first needed: see inTurn.
type pool struct {
	free chan *Block // its capacity is the number of blocks
	made int
	size int
}

func newPool(blocks, size int) *pool {
	return &pool{free: make(chan *Block, blocks), size: size}
}

// inTurn is how much memory takes turns at least, in bytes: that of the second cache of
// a processor. A single small block would stay in there, and into that a read copies
// more slowly than into memory further away, by up to a third (Zen 4, Linux 6.18), which
// is more than to find it there when it is parsed saves.
const inTurn = 1 << 20

// get waits for a free block.
func (p *pool) get(ctx context.Context) (*Block, error) {
	b, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	b.refs.Store(1)
	b.hold(nil)
	return b, nil
}

// take is get for a block as it was left.
func (p *pool) take(ctx context.Context) (*Block, error) {
	if p.made*p.size >= inTurn {
		select {
		case b := <-p.free:
			return b, nil
		default:
		}
	}
	if p.made < cap(p.free) {
		p.made++
		return &Block{buf: make([]byte, p.size), pool: p}, nil
	}
	select {
	case b := <-p.free:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
