package sever

import "encoding/binary"

// Operations of the socket filter (linux/inet_diag.h).
const (
	opJump       = 1 // INET_DIAG_BC_JMP
	opLocalAtMin = 2 // INET_DIAG_BC_S_GE
	opLocalAtMax = 3 // INET_DIAG_BC_S_LE
)

// mostRanges bounds the filter, which the kernel runs for every socket.
const mostRanges = 64

// portFilter is a program for the kernel that accepts the sockets at the given
// local ports (sorted, each once); nil when they are too many. For each range:
//
//	local port >= first, else go to the next range
//	local port <= last, else go to the next range
//	go to the end (accept)
//
// A program that ends exactly at its end accepts, one that jumps 4 bytes beyond
// it rejects: as the last range does. An operation is {code, yes uint8; no
// uint16}, both distances in bytes; a port stands in the no of an operation of
// its own. The kernel lets jumps go forward only, to what is reached by always
// taking yes.
func portFilter(ports []uint16) []byte {
	ranges := rangesOf(ports)
	if len(ranges) == 0 || len(ranges) > mostRanges {
		return nil
	}
	const test, jump = 8, 4 // lengths in bytes
	const block = 2*test + jump
	length := len(ranges)*block - jump // the last needs no jump: it is at the end
	var b []byte
	op := func(code, yes uint8, no int) {
		b = append(b, code, yes)
		b = binary.NativeEndian.AppendUint16(b, uint16(no))
	}
	for i, r := range ranges {
		last := i == len(ranges)-1
		next := (i + 1) * block
		if last {
			next = length + 4
		}
		op(opLocalAtMin, test, next-len(b))
		op(0, 0, int(r[0]))
		op(opLocalAtMax, test, next-len(b))
		op(0, 0, int(r[1]))
		if !last {
			op(opJump, jump, length-len(b))
		}
	}
	return b
}

// rangesOf joins neighbouring ports: first and last of each range.
func rangesOf(ports []uint16) (all [][2]uint16) {
	for _, p := range ports {
		if n := len(all); n > 0 && uint32(p) == uint32(all[n-1][1])+1 {
			all[n-1][1] = p
			continue
		}
		all = append(all, [2]uint16{p, p})
	}
	return all
}
