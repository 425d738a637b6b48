// Package linefeed finds the ends of lines, those of a whole block in one go:
// maillogs have short lines, and to search for each of them anew costs more than
// to look at its bytes.
package linefeed

import (
	"bytes"
	"slices"
)

// Append appends the index of each line feed in data, which is shorter than
// 4 GiB.
func Append(ends []uint32, data []byte) []uint32 {
	at := 0
	for fast && len(data)-at >= width {
		n := min((len(data)-at)/width*width, step)
		ends = slices.Grow(ends, n)
		room := ends[len(ends) : len(ends)+n]
		ends = ends[:len(ends)+scan(room, data[at:at+n], uint32(at))]
		at += n
	}
	for {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return ends
		}
		at += i
		ends = append(ends, uint32(at))
		at++
	}
}

const (
	width = 64      // bytes that scan looks at in one go
	step  = 4 << 10 // bytes it is given at once: it needs room for as many line feeds
)
