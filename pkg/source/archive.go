// Package source is where lines come from: finished logs, plain or compressed
// ([ReadArchives]).
package source

import (
	"context"
	"errors"
	"io"
	"time"
)

// ArchiveOptions says how archives are read. The zero value works.
type ArchiveOptions struct {
	// Time returns the time of a line, without its \n, and whether it has
	// one. A stamp without a year is to take the year nearest to reference:
	// when the file was last written, then the time of the line before. nil:
	// files are ordered by their modification time, and overlaps are not seen.
	Time func(line []byte, reference time.Time) (time.Time, bool)

	// Progress is told how many bytes of the files, as they lie on disk, have
	// been read, about every 4 MiB and at the end of each file; total is 0
	// when it is not known.
	Progress func(read, total int64)

	Stdin   io.Reader // what "-" means; nil: os.Stdin
	MaxLine int       // longest line in bytes, without \n; 0: 65,536
	Block   int       // size of a block in bytes; 0: 1 MiB; at least MaxLine+1
	Buffers int       // number of blocks; 0: 8; at least 3
}

// Defaults of [ArchiveOptions].
const (
	defaultMaxLine = 64 << 10
	defaultBlock   = 1 << 20
	defaultBuffers = 8
	minBuffers     = 3 // one to deliver, one to merge from, one for the consumer
)

func (o *ArchiveOptions) setDefaults() {
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	if o.Block <= 0 {
		o.Block = defaultBlock
	}
	o.Block = max(o.Block, o.MaxLine+1)
	if o.Buffers <= 0 {
		o.Buffers = defaultBuffers
	}
	o.Buffers = max(o.Buffers, minBuffers)
}

// ArchiveStats says what was read.
type ArchiveStats struct {
	Lines      uint64 // lines delivered, the empty ones left by long lines included
	Bytes      int64  // bytes delivered, uncompressed
	Read       int64  // bytes of the files read, as they lie on disk
	LongLines  uint64 // lines dropped because they were too long
	PartLines  uint64 // last lines dropped because their archive broke off inside them
	Duplicates uint64 // lines that another, overlapping file had already delivered
	Files      []FileStats
	Warnings   []string
}

// FileStats is one file of [ArchiveStats], in the order of the caller's list.
type FileStats struct {
	File       string
	Format     Format
	ModTime    time.Time
	Start      time.Time // of the first line with a time; zero: not known
	Lines      uint64    // in the file, duplicates included
	Read       int64     // bytes as they lie on disk
	Duplicates uint64
}

// ReadArchives reads files as one log and hands it to fn block by block, in
// order, in the calling goroutine. The files may be plain or compressed with
// gzip, bzip2, xz or zstd, and come in any order; "-" is standard input.
//
// They are ordered by the time of their first line that has one. Files that
// overlap in time are merged line by line; a line that stands in several of
// them counts as often as it does in the file that has it most often. Files
// that only follow each other are never looked into for that.
//
// A file that cannot be read, or not to its end, does not stop the others: the
// error returned joins a *[FileError] for each. An error of fn, or the end of
// ctx, stops the reading.
func ReadArchives(ctx context.Context, paths []string, o ArchiveOptions, fn func(*Block) error) (ArchiveStats, error) {
	o.setDefaults()
	r := &reader{ctx: ctx, o: o, fn: fn, pool: newPool(o.Buffers, o.Block), line: 1}
	r.find(paths)
	err := r.run()
	for _, a := range r.open {
		r.finish(a)
	}
	return r.stats, errors.Join(append(r.errs, err)...)
}

// A reader is one call of ReadArchives.
type reader struct {
	ctx   context.Context
	o     ArchiveOptions
	fn    func(*Block) error
	pool  *pool
	queue []*archive // those not begun, in order
	open  []*archive // all that were admitted
	line  uint64     // number of the next line
	total int64      // bytes of all files
	shown int64      // bytes read when Progress was last called
	stats ArchiveStats
	errs  []error
}

// progressStep is how many bytes lie between two calls of Progress.
const progressStep = 4 << 20

// run delivers all files. Its error stops everything.
func (r *reader) run() error {
	for len(r.queue) > 0 {
		a := r.queue[0]
		r.queue = r.queue[1:]
		var err error
		if a.timed {
			err = r.timed(a)
		} else {
			err = r.whole(a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole delivers a file that nothing can overlap.
func (r *reader) whole(a *archive) error {
	for {
		b, err := r.read(a)
		if b == nil {
			return err
		}
		if err := r.deliver(b); err != nil {
			return err
		}
	}
}

// read fills a free block with the next lines of a. nil without an error: the
// file is at its end, or broken and that is noted.
func (r *reader) read(a *archive) (*Block, error) {
	b, err := r.pool.get(r.ctx)
	if err != nil {
		return nil, err
	}
	data, err := r.next(a, b.buf)
	if data == nil {
		b.Release()
		return nil, err
	}
	b.hold(data)
	a.stats.Lines += uint64(len(b.Ends))
	r.label(b, a)
	return b, nil
}

// next reads lines of a into buf. nil without an error: as for read.
func (r *reader) next(a *archive, buf []byte) ([]byte, error) {
	if r.ctx.Err() != nil {
		return nil, context.Cause(r.ctx)
	}
	var data []byte
	err := a.begin(r.ctx)
	if err == nil {
		data, err = a.next(buf)
		if a.long == 0 && a.lines.long > 0 {
			a.long = a.stats.Lines + uint64(a.lines.first) + 1
		}
	}
	r.progress(err != nil)
	if err == nil {
		a.findStart(data, r.o.Time)
		return data, nil
	}
	r.done(a, err)
	return nil, context.Cause(r.ctx)
}

// done notes how a file ended.
func (r *reader) done(a *archive, err error) {
	a.close()
	if r.ctx.Err() != nil {
		return
	}
	if err == io.EOF && a.shorter() {
		err = ErrShorter
	}
	if err != io.EOF {
		r.errs = append(r.errs, a.fault(err))
	} else if a.stats.Lines == 0 {
		r.warn(a.path + ": the file is empty")
	}
}

func (r *reader) warn(text string) { r.stats.Warnings = append(r.stats.Warnings, text) }

// label says where the lines of a block, the last that were read of a, are from.
func (r *reader) label(b *Block, a *archive) {
	b.File, b.FileIndex, b.ModTime, b.Start = a.path, a.index, a.modTime, a.start
	b.FileLine = a.stats.Lines - uint64(len(b.Ends)) + 1
}

// deliver numbers a block and hands it on.
func (r *reader) deliver(b *Block) error {
	b.FirstLine = r.line
	r.line += uint64(len(b.Ends))
	r.stats.Lines += uint64(len(b.Ends))
	r.stats.Bytes += int64(len(b.Data))
	err := r.fn(b)
	b.Release()
	return err
}

func (r *reader) progress(end bool) {
	if r.o.Progress == nil {
		return
	}
	var n int64
	for _, a := range r.open {
		n += a.in.n
	}
	if end || n-r.shown >= progressStep {
		r.shown = n
		r.o.Progress(n, r.total)
	}
}
