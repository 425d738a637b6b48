package source

import "hash/maphash"

// A hash stands for the text of a line. It has 64 bits and a seed of its own
// in each run: in a million lines that are remembered at a time, two different
// ones are taken for the same once in some ten million runs.
type hash uint64

// seen counts lines by file, so that a line counts as often as the file has it
// that has it most often. What is older than slack seconds is forgotten.
type seen struct {
	seed   maphash.Seed
	now    map[seenKey]uint32
	before map[seenKey]uint32 // the generation before
	turn   int64              // when now becomes before
}

// A seenKey is a line in one file, or with the file 0 a line that was delivered.
type seenKey struct {
	line hash
	file int
}

func newSeen() *seen {
	return &seen{seed: maphash.MakeSeed(), now: map[seenKey]uint32{}, before: map[seenKey]uint32{}}
}

func (s *seen) hash(line []byte) hash { return hash(maphash.Bytes(s.seed, line)) }

func (s *seen) reset() {
	clear(s.now)
	clear(s.before)
}

// add counts a line of a file and says whether it is to be delivered.
func (s *seen) add(line hash, file int, at int64) bool {
	if at >= s.turn {
		s.now, s.before = s.before, s.now
		clear(s.now)
		s.turn = at + slack
	}
	if s.bump(seenKey{line, file + 1}) <= s.count(seenKey{line, 0}) {
		return false
	}
	s.bump(seenKey{line, 0})
	return true
}

func (s *seen) count(k seenKey) uint32 {
	if n, ok := s.now[k]; ok {
		return n
	}
	return s.before[k]
}

func (s *seen) bump(k seenKey) uint32 {
	n := s.count(k) + 1
	s.now[k] = n
	return n
}
