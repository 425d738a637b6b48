package source

import (
	"errors"
	"fmt"
)

// What a [FileError] can be, by errors.Is, besides the errors of package fs.
var (
	// ErrTruncated says that an archive ends too early.
	ErrTruncated = errors.New("archive is cut short")
	// ErrCorrupt says that an archive's format is violated.
	ErrCorrupt = errors.New("archive is damaged")
	// ErrNotFile says that a path names a directory, a device or the like.
	ErrNotFile = errors.New("not a file")
	// ErrShorter says that a file lost its end, or made room for another, while
	// it was read.
	ErrShorter = errors.New("the file became shorter while it was read")
)

// A FileError says what is wrong with one file. The lines before the damage
// have been delivered; of an archive that is damaged perhaps wrong ones, too.
type FileError struct {
	File   string
	Format Format
	Offset int64  // bytes of the file read so far: at or little after the damage
	Line   uint64 // lines of this file that could be read
	Kind   error  // ErrTruncated, ErrCorrupt or nil
	Err    error
}

func (e *FileError) Error() string {
	switch {
	case e.Kind == ErrCorrupt: // its checksum comes behind what it is of
		return fmt.Sprintf("read %s: %s %v at byte %d: read up to line %d, of which the last may be wrong: %v", e.File, e.Format, e.Kind, e.Offset, e.Line, e.Err)
	case e.Kind == ErrTruncated:
		return fmt.Sprintf("read %s: %s %v at byte %d: good up to line %d: %v", e.File, e.Format, e.Kind, e.Offset, e.Line, e.Err)
	case e.Offset > 0:
		return fmt.Sprintf("read %s: byte %d: good up to line %d: %v", e.File, e.Offset, e.Line, e.Err)
	}
	return fmt.Sprintf("read %s: %v", e.File, e.Err)
}

// Unwrap gives both the kind and the cause.
func (e *FileError) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}
