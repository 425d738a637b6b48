package source

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A candidate is a file that may be part of the log: a rotated one, or the one
// at the path.
type candidate struct {
	path  string
	info  fs.FileInfo
	key   fileKey
	live  bool   // it is at the path
	order string // by name: the oldest first; "" when the name does not say
}

// errMoved says that a rotation went on while its files were looked at.
var errMoved = errors.New("the files are being rotated")

// packings are the endings of compressed files.
var packings = []string{"", ".gz", ".bz2", ".xz", ".zst", ".zstd"}

// siblings lists the rotated files of a log in the order they were written.
// base is its name, and entries are the names in its folder. Of a file that is
// there both plain and compressed the plain one is taken: the other is being
// made of it.
//
// Known are the names of logrotate (name.1, name-20261123, name-20261123-1200;
// with "extension .log" stem.1.log and stem-20261123.log), newsyslog (name.0)
// and postlogd (name.20261123-120000), each with an ending of [packings].
func siblings(base string, entries []string) []candidate {
	packed := map[string]string{} // name without the packing -> as it is
	var found []candidate
	for _, name := range entries {
		plain := name
		for _, p := range packings[1:] {
			plain = strings.TrimSuffix(plain, p)
		}
		order := rotationOrder(base, plain)
		if order == "" {
			continue
		}
		if other, ok := packed[plain]; ok && len(other) <= len(name) {
			continue
		}
		packed[plain] = name
		found = slices.DeleteFunc(found, func(c candidate) bool { return c.order == order })
		found = append(found, candidate{path: name, order: order})
	}
	return found
}

// rotationOrder says where among the rotated files of base one belongs: names
// that sort before others are older. "" when it is none of them.
func rotationOrder(base, name string) string {
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		ext := filepath.Ext(base)
		stem := strings.TrimSuffix(base, ext)
		if ext == "" || stem == "" {
			return ""
		}
		if rest, ok = strings.CutPrefix(name, stem); !ok {
			return ""
		}
		if rest, ok = strings.CutSuffix(rest, ext); !ok {
			return ""
		}
	}
	if len(rest) < 2 || rest[0] != '.' && rest[0] != '-' && rest[0] != '_' {
		return ""
	}
	mark := rest[1:]
	if n, err := strconv.Atoi(mark); err == nil && n >= 0 && len(mark) <= 4 {
		return "n" + strconv.Itoa(19999-n) // the highest number is the oldest
	}
	if len(mark) < 6 || mark[0] < '0' || mark[0] > '9' || strings.Trim(mark, "0123456789-_.:T") != "" {
		return ""
	}
	return "t" + mark
}

// sortCandidates puts the oldest first: by name, or where names of several
// kinds are mixed, by when they were last written to; the file at the path last.
func sortCandidates(list []candidate) {
	mixed := false
	for _, c := range list {
		if !c.live && (c.order == "" || c.order[0] != list[0].order[0]) {
			mixed = true
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		switch {
		case a.live != b.live && a.live:
			return 1
		case a.live != b.live:
			return -1
		case mixed:
			return a.info.ModTime().Compare(b.info.ModTime())
		}
		return cmp.Compare(a.order, b.order)
	})
}

// candidates lists all files of the log, oldest first. extra are paths where
// files of it were seen before. The file at the path is missing from the list
// when there is none. errMoved: names changed while they were looked at.
func (f *follower) candidates(extra ...string) ([]candidate, error) {
	list, err := f.list(extra)
	if err != nil {
		return nil, err
	}
	again, err := f.list(extra)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(list, again, func(a, b candidate) bool { return a.path == b.path && a.key == b.key }) {
		return nil, errMoved
	}
	return list, nil
}

func (f *follower) list(extra []string) ([]candidate, error) {
	var list []candidate
	seen := map[fileKey]bool{}
	add := func(c candidate) {
		info, err := f.stat(c.path)
		if err != nil || !info.Mode().IsRegular() {
			return
		}
		c.info, c.key = info, keyOf(info)
		if !seen[c.key] {
			seen[c.key] = true
			list = append(list, c)
		}
	}
	live := candidate{path: f.o.Path, live: true}
	if info, err := f.stat(f.o.Path); err == nil {
		live.info, live.key = info, keyOf(info)
		seen[live.key] = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	paths := []string{f.o.Path}
	if to, err := filepath.EvalSymlinks(f.o.Path); err == nil && to != f.o.Path {
		paths = append(paths, to)
	}
	for _, path := range paths {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			continue // a folder that may be passed but not read: the file itself is read
		}
		names := make([]string, 0, len(entries))
		for _, e := range entries {
			names = append(names, e.Name())
		}
		for _, c := range siblings(filepath.Base(path), names) {
			c.path = filepath.Join(filepath.Dir(path), c.path)
			add(c)
		}
	}
	for _, path := range extra {
		if path != "" {
			add(candidate{path: path})
		}
	}
	if live.info != nil && live.info.Mode().IsRegular() {
		list = append(list, live)
	}
	if len(list) > 0 {
		sortCandidates(list)
	}
	return list, nil
}

// openAll opens files of a list, or none: errMoved when one is no longer what
// it was when the list was made.
func (f *follower) openAll(list []candidate) (files []*opened, err error) {
	defer func() {
		if err != nil {
			for _, t := range files {
				t.close()
			}
			files = nil
		}
	}()
	var denied []string
	for _, c := range list {
		t, err := f.openOne(c)
		if err != nil {
			if !c.live && errors.Is(err, fs.ErrPermission) {
				denied = append(denied, c.path+": "+err.Error()+": its lines are not read")
				continue
			}
			return files, err
		}
		files = append(files, t)
	}
	for _, text := range denied {
		f.event(Gap, text)
		f.broken = true
	}
	return files, nil
}

func (f *follower) openOne(c candidate) (*opened, error) {
	t, err := f.open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMoved
	}
	if err != nil {
		return nil, err
	}
	if t.key != c.key {
		t.close()
		return nil, errMoved
	}
	return t, nil
}

// openHead opens a file of a list, and reads its head. A rotated one that may not
// be opened, or not be read, is nil: it must not keep the others from being read.
func (f *follower) openHead(c candidate) (*opened, []byte, error) {
	t, err := f.openOne(c)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) && !c.live {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	head, err := t.headOf()
	if err != nil {
		t.close()
		if !c.live {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	return t, head, nil
}

// since is what was written to after the file of p, which is gone, and so is
// newer than it. A clock tick counts as after: times of files step by 4 ms.
func since(list []candidate, p FilePosition) []candidate {
	return slices.DeleteFunc(slices.Clone(list), func(c candidate) bool {
		return !c.live && c.info.ModTime().UnixNano() < p.Modified
	})
}

// unknown takes out what is being read already.
func (f *follower) unknown(list []candidate) []candidate {
	return slices.DeleteFunc(list, func(c candidate) bool {
		is := func(t *opened) bool { return t.key == c.key }
		return slices.ContainsFunc(f.draining, is) || slices.ContainsFunc(f.queue, is)
	})
}
