package source

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"syscall"
)

// A Position is a place in a log: what has to be saved to go on from there. It
// holds plain values only, for any encoding. The zero value is "nowhere yet".
//
// A position is to be saved together with the state that the lines before it
// have led to; then a line read again after a crash does not count twice.
type Position struct {
	Seq uint64 // number of the last line

	// Of a file.
	File     FilePosition
	Draining []FilePosition // renamed files that may still be written to, oldest first; never changed in place
	Copies   bool           // the file is rotated by copying and emptying it,
	Home     uint64         // and has this inode; files newer than it were renamed

	// Of the journal.
	Cursor string // of the last entry
	Time   int64  // when it was received, in microseconds since 1970
}

// IsZero says that it is no position.
func (p Position) IsZero() bool {
	return p.Seq == 0 && p.File == FilePosition{} && len(p.Draining) == 0 && !p.Copies && p.Cursor == "" && p.Time == 0
}

// A FilePosition is a place in one file, which is found again by its device
// and inode, or by how it begins once it has been copied or compressed.
type FilePosition struct {
	Path     string // as it was opened, symbolic links resolved
	Device   uint64
	Inode    uint64
	Offset   int64  // behind the last line, in uncompressed bytes
	Head     string // hash of the first HeadLen bytes, uncompressed
	HeadLen  int    // the smaller of 512 and Offset
	First    string // hash of the first line, if that lies in the head: all that a copy made early may have of it
	FirstLen int
	Modified int64 // when it was last written to as far as is known, in nanoseconds since 1970
	Done     bool  // nobody wrote to it any more
}

// headSize is how much of a file's head identifies it: a few lines, with times
// and process numbers.
const headSize = 512

// fingerprint is the hash by which the head of a file is known.
func fingerprint(head []byte) string {
	if len(head) == 0 {
		return ""
	}
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:16])
}

// valid says whether p can have come from us: a file with another offset
// cannot be gone on with.
func (p FilePosition) valid() bool {
	return p.Offset >= 0 && p.HeadLen >= 0 && p.HeadLen <= headSize && int64(p.HeadLen) <= p.Offset && (p.HeadLen == 0) == (p.Head == "") &&
		p.FirstLen >= 0 && p.FirstLen <= p.HeadLen && (p.FirstLen == 0) == (p.First == "")
}

// sameFile says whether q is of the same file, if that exists still.
func (p FilePosition) sameFile(q FilePosition) bool {
	return p.Device == q.Device && p.Inode == q.Inode
}

// is says whether a file whose first bytes are head is the one of p, as far as
// its head tells.
func (p FilePosition) is(head []byte) bool {
	return p.HeadLen > 0 && len(head) >= p.HeadLen && fingerprint(head[:p.HeadLen]) == p.Head
}

// isOf says whether a file whose first bytes are head is a copy of the one of p
// that was made when there was less in it than was read of it since.
func (p FilePosition) isOf(head []byte) bool {
	return p.FirstLen > 0 && len(head) >= p.FirstLen && len(head) < p.HeadLen && fingerprint(head[:p.FirstLen]) == p.First
}

// A fileKey tells files apart while they exist.
type fileKey struct{ device, inode uint64 }

func keyOf(info fs.FileInfo) fileKey {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileKey{uint64(st.Dev), uint64(st.Ino)}
	}
	return fileKey{}
}
