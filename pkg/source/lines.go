package source

import (
	"bytes"
	"io"
)

// A lineReader cuts a stream into runs of whole lines. It holds at most one
// unfinished line of at most max bytes; longer ones are dropped while they are
// read, however long they are, and leave an empty line behind.
type lineReader struct {
	r     io.Reader
	max   int  // longest line in bytes, without \n
	eager bool // hand out what one read brought: for pipes

	carry    []byte // the unfinished line
	skipping bool   // inside a line that is too long
	err      error  // what ended the stream, io.EOF included

	long  uint64 // lines dropped because they were too long
	first int    // how many lines were in front of the first of them in what next returned
	part  bool   // the last line was dropped because the stream broke off inside it
}

// emptyReads is how many reads without bytes or error end a stream, as in bufio.
const emptyReads = 100

// next fills buf, which must be longer than max, with whole lines. It returns
// the lines, at least one, or the error that ended the stream: io.EOF, and then
// the last line may have had no \n; else an unfinished last line is dropped.
func (l *lineReader) next(buf []byte) ([]byte, error) {
	for {
		n := copy(buf, l.carry)
		l.carry = l.carry[:0]
		n = l.fill(buf, n)
		data := buf[:n]
		if l.skipping {
			data = l.skip(data)
		}
		if l.err == io.EOF {
			data = l.dropLong(data)
		} else {
			cut := bytes.LastIndexByte(data, '\n') + 1
			rest := data[cut:]
			data = l.dropLong(data[:cut])
			l.keep(rest, data)
		}
		if len(data) > 0 {
			return data, nil
		}
		if l.err != nil {
			return nil, l.err
		}
	}
}

// fill reads behind the first n bytes of buf and returns how many it holds then.
func (l *lineReader) fill(buf []byte, n int) int {
	for empty := 0; l.err == nil && n < len(buf); {
		m, err := l.r.Read(buf[n:])
		l.err = err
		if m == 0 && err == nil {
			if empty++; empty == emptyReads {
				l.err = io.ErrNoProgress
			}
			continue
		}
		empty = 0
		n += m
		if l.eager && bytes.IndexByte(buf[n-m:n], '\n') >= 0 {
			break
		}
	}
	return n
}

// skip drops the rest of a line that is too long, up to its \n, which stays.
func (l *lineReader) skip(data []byte) []byte {
	i := bytes.IndexByte(data, '\n')
	switch {
	case i >= 0:
		l.skipping = false
		return data[i:]
	case l.err == io.EOF:
		l.skipping = false
		return append(data[:0], '\n')
	}
	return nil
}

// keep remembers the unfinished line at the end of what was read, behind lines.
func (l *lineReader) keep(rest, lines []byte) {
	switch {
	case len(rest) > l.max:
		l.skipping = true
		l.drop(lines)
	case l.err != nil:
		l.part = l.part || len(rest) > 0
	default:
		l.carry = append(l.carry, rest...)
	}
}

// drop counts a line that is too long, behind lines.
func (l *lineReader) drop(lines []byte) {
	if l.long++; l.long == 1 {
		l.first = bytes.Count(lines, newline)
	}
}

// dropLong empties the lines that are longer than max. It looks back from each
// place where such a line would have to reach to, so that a block of ordinary
// lines costs a few short looks, not a pass.
func (l *lineReader) dropLong(data []byte) []byte {
	for start := 0; len(data)-start > l.max; {
		reach := data[start:min(start+l.max+1, len(data))]
		if i := bytes.LastIndexByte(reach, '\n'); i >= 0 {
			start += i + 1
			continue
		}
		l.drop(data[:start])
		end := bytes.IndexByte(data[start:], '\n')
		if end < 0 {
			return append(data[:start], '\n')
		}
		data = append(data[:start], data[start+end:]...)
		start++
	}
	return data
}
