package source

import (
	"fmt"
	"slices"
)

// Files that come to the path and have been read before, or begin as one that has
// been: what was read of them must not count twice.

// takenBack says whether the file that is now at the path is a renamed one that
// is still watched: a rotation was taken back. It is then the last of the queue.
func (f *follower) takenBack(key fileKey) bool {
	i := slices.IndexFunc(f.draining, func(t *opened) bool { return t.key == key })
	if i < 0 {
		return false
	}
	f.queue = append(f.queue, f.draining[i])
	f.draining = slices.Delete(f.draining, i, i+1)
	f.queue[0].copied, f.copying = false, false
	f.replace()
	f.fine()
	return true
}

// openNew opens files that came after the one of p. One that was read before is
// gone on with, and so is one that begins like that of p: sed -i and other
// editors put such a one in its place.
func (f *follower) openNew(list []candidate, p FilePosition) ([]*opened, error) {
	files, err := f.openAll(list)
	if err != nil {
		return nil, err
	}
	for _, t := range files {
		off, edited, err := f.readOf(t, p)
		if err == nil && off > 0 {
			err = t.goOnAt(off)
		}
		if err != nil {
			for _, t := range files {
				t.close()
			}
			return nil, err
		}
		if edited {
			f.event(Gap, fmt.Sprintf("%s: another file is there that begins like the one before, as after sed -i: going on behind byte %d; what was altered before that is not read", t.path, t.off))
			f.broken = true
		}
	}
	return files, nil
}

// readOf is up to where a file was read that has just been opened, or the one of
// p of which it is an edited copy.
func (f *follower) readOf(t *opened, p FilePosition) (off int64, edited bool, err error) {
	if t.zip != nil {
		return 0, false, nil
	}
	head, err := t.headOf()
	if err != nil {
		return 0, false, err
	}
	for _, q := range f.closed {
		if t.position().sameFile(q) && q.is(head) {
			return q.Offset, false, nil
		}
	}
	if p.is(head) {
		return p.Offset, true, nil
	}
	return 0, false, nil
}
