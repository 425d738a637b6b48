package source

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// begin opens what is to be read first. false: it cannot be said yet.
func (f *follower) begin(from Position) (bool, error) {
	info, err := f.stat(f.o.Path)
	if err != nil && (f.absent || !errors.Is(err, fs.ErrNotExist)) {
		f.trouble(err)
		return false, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		f.trouble(notFileError("is no regular file"))
		return false, nil
	}
	if from.File == (FilePosition{}) || !from.File.valid() {
		if from.File != (FilePosition{}) {
			f.event(Gap, "the saved position makes no sense: starting anew")
		}
		err = f.beginAnew()
	} else {
		err = f.resume(from)
	}
	if err != nil {
		f.trouble(err)
		return false, nil
	}
	f.fine()
	f.until = 0
	if n := len(f.queue); n > 0 {
		f.until, _ = f.queue[n-1].size() // else the first turn that reads all of it ends what is old
	}
	f.tell()
	return true, nil
}

// beginAnew begins without a position.
func (f *follower) beginAnew() error {
	list, err := f.candidates()
	if err != nil {
		return err
	}
	if f.o.Start != FromHistory {
		list = slices.DeleteFunc(list, func(c candidate) bool { return !c.live })
	}
	files, err := f.openAll(list)
	if err != nil {
		return err
	}
	if f.o.Start == FromEnd && len(files) > 0 {
		if err := files[0].toEnd(f.o.MaxLine); err != nil {
			files[0].close()
			return err
		}
	}
	f.queue = files
	if f.o.Start == FromEnd {
		// All of a file that comes later is new.
		at := Position{File: FilePosition{Path: resolve(f.o.Path), Modified: f.now().UnixNano()}}
		if len(files) > 0 {
			at.File = files[0].position()
		}
		f.update(func(s *Status) { s.Begin = at })
	}
	return nil
}

// resume goes on at a saved position: it finds the file again, finishes it,
// and then reads what is newer.
func (f *follower) resume(from Position) error {
	extra := []string{from.File.Path}
	for _, p := range from.Draining {
		extra = append(extra, p.Path)
	}
	list, err := f.candidates(extra...)
	if err != nil {
		return err
	}
	at, t, err := f.find(list, from.File)
	if err != nil {
		return err
	}
	rest := list[at+1:]
	if t == nil {
		rest = since(list, from.File)
	}
	if t == nil && len(rest) == 0 && from.File.Offset > 0 {
		// Perhaps it is on a file system that is mounted late: read as a new one
		// when it comes, each of its lines would count twice.
		f.absent = true
		return fs.ErrNotExist
	}
	var draining []*opened
	fail := func(err error) error {
		for _, t := range draining {
			t.close()
		}
		if t != nil {
			t.close()
		}
		return err
	}
	var lost []string
	for _, p := range from.Draining {
		if !p.valid() || p.HeadLen == 0 {
			continue
		}
		i, d, err := f.find(list, p)
		if err != nil {
			return fail(err)
		}
		if d == nil && p.Done {
			continue
		}
		if d == nil {
			lost = append(lost, fmt.Sprintf("%s: is gone: what was written behind byte %d, after its rotation, is lost", p.Path, p.Offset))
			continue
		}
		if t != nil && d.key == t.key || slices.ContainsFunc(draining, func(t *opened) bool { return t.key == d.key }) {
			d.close()
			continue
		}
		rest = slices.DeleteFunc(slices.Clone(rest), func(c candidate) bool { return c.key == list[i].key })
		d.quiet = f.now()
		draining = append(draining, d)
	}
	files, err := f.openAll(rest)
	if err != nil {
		return fail(err)
	}
	if t == nil && from.File.Offset > 0 {
		lost = append(lost, fmt.Sprintf("%s: is gone, or was emptied and no copy is there: what was written behind byte %d is lost", from.File.Path, from.File.Offset))
	}
	for _, text := range lost {
		f.event(Gap, text)
	}
	// The last line may not have been of the file that is read on first.
	f.broken = f.broken || len(lost) > 0 || len(from.Draining) > 0
	f.draining = draining
	if t != nil {
		f.queue = append(f.queue, t)
	}
	f.queue = append(f.queue, files...)
	f.copied(from, list)
	f.replace()
	return nil
}

// copied says which files of the queue are copies. Where another file is at the
// path than was, that one was renamed: it is no copy, and nor is what is newer.
func (f *follower) copied(from Position, list []candidate) {
	home := from.Home
	if home == 0 && from.File.Path == resolve(f.o.Path) {
		home = from.File.Inode
	}
	at := slices.IndexFunc(list, func(c candidate) bool { return c.key.inode == home })
	f.copying = from.Copies && (home == 0 || at >= 0 && list[at].live)
	for _, q := range f.queue {
		before := slices.ContainsFunc(list[:max(0, at)], func(c candidate) bool { return c.key == q.key })
		q.copied = f.copying || from.Copies && before
	}
}

// home says whether the first file of the queue is a copy or will have copies,
// and if so, of which file.
func (f *follower) home() (copies bool, inode uint64) {
	if !f.copying && !f.queue[0].copied {
		return false, 0
	}
	for _, t := range f.queue {
		if inode = t.key.inode; !t.copied {
			break
		}
	}
	return true, inode
}

// find looks for the file of a position and opens it at that place. Without
// one it returns -1 and nil. A file of which nothing was read is not looked
// for: its inode alone may be another file's by now.
func (f *follower) find(list []candidate, p FilePosition) (int, *opened, error) {
	if p.HeadLen == 0 {
		return -1, nil, nil
	}
	// The inode, if it still begins as it did: it may have been used again.
	for i, c := range list {
		if c.key != (fileKey{p.Device, p.Inode}) {
			continue
		}
		t, head, err := f.openHead(c)
		if err != nil {
			return -1, nil, err
		}
		if t == nil {
			continue
		}
		if t.zip == nil && p.is(head) {
			return f.at(i, t, p)
		}
		t.close()
	}
	// A copy, perhaps compressed; the newest first. One that was made before all
	// that was read had been written is only taken if there is no better.
	small := -1
	for i := len(list) - 1; i >= 0; i-- {
		t, head, err := f.openHead(list[i])
		if err != nil {
			return -1, nil, err
		}
		if t == nil {
			continue
		}
		if p.is(head) {
			return f.at(i, t, p)
		}
		if small < 0 && !list[i].live && p.isOf(head) {
			small = i
		}
		t.close()
	}
	if small < 0 {
		return -1, nil, nil
	}
	t, err := f.openOne(list[small])
	if err != nil {
		return -1, nil, err
	}
	return f.at(small, t, p)
}

func (f *follower) at(i int, t *opened, p FilePosition) (int, *opened, error) {
	if err := t.goOnAt(p.Offset); err != nil {
		t.close()
		return -1, nil, err
	}
	return i, t, nil
}

// look looks at the path when everything known has been read. It returns true
// when there is more to read now.
func (f *follower) look() bool {
	info, err := f.stat(f.o.Path)
	if err == nil && !info.Mode().IsRegular() {
		err = notFileError("is no regular file")
	}
	if err != nil {
		f.trouble(err)
		return false
	}
	var cur *opened
	if len(f.queue) > 0 {
		cur = f.queue[0]
		if cur.key == keyOf(info) {
			f.looked = f.began
			if cur.modified = max(cur.modified, info.ModTime().UnixNano()); len(f.places) > len(f.draining) {
				f.replace()
			}
			f.fine()
			return false
		}
	}
	if f.takenBack(keyOf(info)) {
		return true
	}
	files, err := f.newer(cur)
	if err != nil {
		f.trouble(err)
		return false
	}
	if len(files) == 0 {
		return false
	}
	if cur != nil {
		f.update(func(s *Status) { s.Rotations += uint64(len(files)) })
		f.copying, cur.copied = false, false
	}
	// What cur has got until now is read before it is set aside.
	f.queue = append(f.queue, files...)
	f.fine()
	return true
}

// newer opens the files that follow cur, up to the one at the path.
func (f *follower) newer(cur *opened) ([]*opened, error) {
	list, err := f.candidates()
	if err != nil {
		return nil, err
	}
	if cur == nil {
		return f.openNew(slices.DeleteFunc(list, func(c candidate) bool { return !c.live }), FilePosition{})
	}
	p := cur.position()
	at := slices.IndexFunc(list, func(c candidate) bool { return c.key == cur.key })
	gone := false
	if at < 0 {
		i, t, err := f.find(list, p)
		if err != nil {
			return nil, err
		}
		if t != nil {
			t.close()
			if list[i].live {
				i-- // it was edited, and is to be opened
			}
		}
		at, gone = i, t == nil
	}
	rest := slices.Clone(list[at+1:])
	if gone {
		rest = since(rest, p)
	}
	rest = f.unknown(rest)
	if len(rest) == 0 || !rest[len(rest)-1].live {
		return nil, errMoved
	}
	return f.openNew(rest, p)
}

// truncated goes on after the first file of the queue was emptied. It returns
// true when there is something to do.
func (f *follower) truncated() bool {
	t := f.queue[0]
	same, err := t.same()
	if err != nil {
		f.trouble(err)
		return false
	}
	if same && len(t.head) > 0 {
		f.update(func(s *Status) { s.Truncations++ })
		f.event(Gap, fmt.Sprintf("%s: was cut off before byte %d, where it had been read to", t.path, t.off))
		f.broken = true
		if err := t.toEnd(f.o.MaxLine); err != nil {
			f.trouble(err)
			return false
		}
		return true
	}
	copies, err := f.copies(t)
	if errors.Is(err, errMoved) {
		return true // once more
	}
	if err != nil {
		f.trouble(err)
	}
	if len(copies) == 0 {
		f.event(Gap, fmt.Sprintf("%s: was emptied and no copy is there: what was written behind byte %d before that, if anything, is lost", t.path, t.off))
		f.broken = true
	}
	f.update(func(s *Status) { s.Truncations++ })
	f.copying = len(f.queue) == 1 // else it was renamed since
	torn := len(copies) == 0 && t.half()
	t.restart()
	t.torn = torn
	for _, c := range copies {
		c.copied = true
	}
	f.queue = append(copies, f.queue...)
	return true
}

// copies opens the copy that was made of t before it was emptied, behind what
// has been read of it, and the copies that were made since. If t was renamed
// after that, what is newer than it is no copy, and comes after it.
func (f *follower) copies(t *opened) ([]*opened, error) {
	list, err := f.candidates()
	if err != nil {
		return nil, err
	}
	own, err := f.own(list, t)
	if err != nil {
		return nil, err
	}
	if own >= 0 {
		list = list[:own]
	}
	list = f.unknown(list)
	at, c, err := f.find(list, t.position())
	if err != nil || c == nil {
		return nil, err
	}
	rest := slices.DeleteFunc(slices.Clone(list[at+1:]), func(c candidate) bool { return c.live })
	files, err := f.openAll(rest)
	if err != nil {
		c.close()
		return nil, err
	}
	return append([]*opened{c}, files...), nil
}

// own is where in the list t is that was emptied, or what was packed of it
// since; -1: nowhere.
func (f *follower) own(list []candidate, t *opened) (int, error) {
	if i := slices.IndexFunc(list, func(c candidate) bool { return c.key == t.key }); i >= 0 {
		return i, nil
	}
	head, err := t.headOf()
	if err != nil {
		return -1, err
	}
	i, c, err := f.find(list, FilePosition{Head: fingerprint(head), HeadLen: len(head)})
	if c != nil {
		c.close()
	}
	return i, err
}

// trouble says why the path cannot be read.
func (f *follower) trouble(err error) {
	if errors.Is(err, errMoved) {
		return // over by the next look
	}
	state, kind := Failing, Unreadable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		state, kind = Waiting, Missing
	case errors.Is(err, fs.ErrPermission):
		state, kind = NoPermission, Permission
	case errors.Is(err, ErrNotFile):
		kind = NotFile
	}
	for _, k := range []AlarmKind{Missing, Permission, NotFile, Unreadable} {
		if k != kind {
			f.clear(k)
		}
	}
	f.raise(kind, f.o.Path+": "+bare(err).Error())
	f.update(func(s *Status) { s.State = state })
}

// fine takes back what trouble said.
func (f *follower) fine() {
	if f.ailing {
		return
	}
	f.clear(Missing, Permission, NotFile, Unreadable)
	f.update(func(s *Status) {
		if s.State != CatchingUp {
			s.State = Following
		}
	})
}
