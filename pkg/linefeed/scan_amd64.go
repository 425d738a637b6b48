package linefeed

import "golang.org/x/sys/cpu"

// fast says that the processor has what scan needs.
var fast = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

// scan writes base plus the index of each line feed in data to ends, and returns
// how many there are. data is a multiple of width, and ends as long: it may be written
// behind what is returned.
//
//go:noescape
func scan(ends []uint32, data []byte, base uint32) int
