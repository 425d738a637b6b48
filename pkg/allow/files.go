package allow

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	maxFolder   = 256     // files in one folder
	maxAllItems = 1 << 18 // lines of all files together
	maxBroken   = 20      // broken lines that are reported one by one
)

// A watched file is one of the allowlist with the last content that was good.
type watched struct {
	folder  string // the folder it was found in, "" when it is named itself
	good    bool   // items were read from a file without an error, at some time
	items   []Item // what is in force
	pending []Item // content that lacks something that items have, seen once
	shrinks bool   // pending is to be believed when the next look finds the same
	gone    bool   // the last look did not find it in its folder
	print   fileprint
	broken  []lineError // of the last look
	failed  error       // why the last look could not read it
}

// A fileprint tells whether a file may have changed since it was read.
type fileprint struct {
	info fs.FileInfo
	read time.Time
}

// same says whether the file is surely still what was read. A file that was
// written within two seconds of the reading may have been written again with
// the same time stamp.
func (f fileprint) same(now fs.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, now) && f.info.Size() == now.Size() &&
		f.info.ModTime().Equal(now.ModTime()) && f.read.Sub(now.ModTime()) > 2*time.Second
}

// files follows the files of the allowlist.
type files struct {
	o       Options
	states  map[string]*watched
	folders map[string]bool // those that were read at some time, if only to find them empty
	changed bool            // something did since last was made
	order   []string        // of last
	last    part
}

func newFiles(o Options) *files {
	return &files{o: o, states: make(map[string]*watched), folders: make(map[string]bool)}
}

// look reads what changed and gives what is in force and what is wrong; same
// says that it is what the look before gave.
func (f *files) look() (pt part, same bool) {
	var order []string // of files, as they are to be listed
	for _, path := range f.o.Files {
		st, err := os.Stat(f.o.under(path))
		switch {
		case err != nil && errors.Is(err, fs.ErrNotExist) && path == DefaultFolder:
			f.forget(path)
			continue
		case err != nil && f.folders[path], err == nil && st.IsDir():
			order = append(order, f.lookFolder(path, &pt)...)
		default:
			if err == nil {
				f.forget(path)
			}
			f.lookFile(path, "")
			order = append(order, path)
		}
	}
	slices.Sort(order)
	order = slices.Compact(order)
	if !f.changed && len(pt.problems) == 0 && slices.Equal(order, f.order) && len(f.last.sources) > 0 {
		return f.last, true
	}
	// Trouble with a folder itself is looked at anew each time.
	f.changed, f.order = len(pt.problems) > 0, order
	total := 0
	for _, path := range order {
		if w := f.states[path]; w != nil {
			total = w.report(path, total, &pt)
		}
	}
	pt.sources = []Source{{Name: "files", Entries: len(pt.entries)}}
	if len(f.o.Files) == 0 {
		pt.sources[0].Text = "none is named in allow.files"
	}
	f.last = pt
	return pt, false
}

// forget drops a folder and what was in it.
func (f *files) forget(folder string) {
	delete(f.folders, folder)
	maps.DeleteFunc(f.states, func(_ string, w *watched) bool { return w.folder == folder })
}

// lookFolder looks at the files of a folder and gives the paths of those that count.
func (f *files) lookFolder(folder string, pt *part) []string {
	names, err := f.list(folder)
	var paths []string
	for _, name := range names {
		path := filepath.Join(folder, name)
		if st, err := os.Stat(f.o.under(path)); err == nil && st.IsDir() {
			continue
		}
		f.lookFile(path, folder)
		paths = append(paths, path)
	}
	if err != nil {
		worst, kept := BanNothing, "no ban is made before it can be read"
		if f.folders[folder] {
			worst, kept = Alarm, "the last good content of its files stays in force"
		}
		pt.problem(worst, folder, "%s: %s", missing(err), kept)
	} else {
		f.folders[folder] = true
	}
	for path, w := range f.states {
		if w.folder != folder || slices.Contains(paths, path) {
			continue
		}
		// Gone for two looks, its entries go too. An editor that renames may
		// leave a moment without the file.
		if err == nil && w.gone {
			delete(f.states, path)
			f.changed = true
			continue
		}
		w.gone = err == nil
		paths = append(paths, path)
	}
	return paths
}

// list gives the names of the files of a folder that count, sorted.
func (f *files) list(folder string) ([]string, error) {
	d, err := os.Open(f.o.under(folder))
	if err != nil {
		return nil, reason(err)
	}
	defer d.Close()
	all, err := d.Readdirnames(16 * maxFolder)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, reason(err)
	}
	all = slices.DeleteFunc(all, leftover)
	slices.Sort(all)
	if len(all) > maxFolder {
		return all[:maxFolder], fmt.Errorf("more than %d files: put them together", maxFolder)
	}
	return all, nil
}

// leftover knows the names of files that editors and package managers leave behind.
func leftover(name string) bool {
	if name[0] == '.' || name[0] == '#' || strings.HasSuffix(name, "~") || strings.Contains(name, ".dpkg-") || strings.Contains(name, ".ucf-") {
		return true
	}
	switch filepath.Ext(name) {
	case ".rpmsave", ".rpmnew", ".rpmorig", ".swp", ".bak", ".orig", ".tmp", ".pacnew", ".pacsave":
		return true
	}
	return false
}

// lookFile reads a file if it may have changed. Good content is taken; content
// that lacks a line it had before only at the second look, so that a file that
// is just being written is not taken for a shorter one.
func (f *files) lookFile(path, folder string) {
	w := f.states[path]
	if w == nil {
		w = new(watched)
		f.states[path] = w
	}
	w.folder, w.gone = folder, false
	file, info, err := f.o.open(path)
	if err == nil {
		defer file.Close()
		if w.failed == nil && !w.shrinks && w.print.same(info) {
			return
		}
	}
	f.changed = true
	if err != nil {
		w.failed, w.broken, w.print = err, nil, fileprint{}
		return
	}
	text, err := readAll(file, maxFileBytes)
	if err != nil {
		w.failed, w.broken, w.print = err, nil, fileprint{}
		return
	}
	items, broken := parseFile(text)
	w.failed, w.broken, w.print = nil, broken, fileprint{info, f.o.Now()}
	switch {
	case len(broken) > 0 && w.good:
		w.shrinks, w.pending = false, nil
	case len(broken) > 0:
		w.items = items // never good: what can be read protects somebody at least
	case !w.good || !lacks(items, w.items) || w.shrinks && slices.Equal(items, w.pending):
		w.good, w.items, w.shrinks, w.pending = true, items, false, nil
	default:
		w.shrinks, w.pending = true, items
	}
}

// lacks says whether something of old is not in now, wherever it stands.
func lacks(now, old []Item) bool {
	have := make(map[Item]bool, len(now))
	for _, it := range now {
		it.Line = 0
		have[it] = true
	}
	return slices.ContainsFunc(old, func(it Item) bool {
		it.Line = 0
		return !have[it]
	})
}

// report adds what the file gives and what is wrong with it; total counts the
// lines of the files before it.
func (w *watched) report(path string, total int, pt *part) int {
	worst, kept := BanNothing, "no ban is made before it can be read"
	if w.good {
		worst, kept = Alarm, "the last good content stays in force"
	}
	if w.failed != nil {
		pt.problem(worst, path, "%s: %s", missing(w.failed), kept)
	}
	for i, b := range w.broken {
		if i == maxBroken {
			pt.problem(worst, path, "%d more lines like these", len(w.broken)-i)
			break
		}
		pt.problem(worst, fmt.Sprintf("%s:%d", path, b.line), "%s; %s", b.text, kept)
	}
	items := w.items
	if w.shrinks {
		items = slices.Concat(w.items, w.pending)
	}
	if total += len(items); total > maxAllItems {
		pt.problem(BanNothing, path, "with it there are more than %d lines in the allowlist: write wider prefixes", maxAllItems)
		return total
	}
	for _, it := range items {
		origin := fmt.Sprintf("%s:%d", path, it.Line)
		if it.Name != "" {
			pt.uses = append(pt.uses, use{name: it.Name, kind: Name, origin: it.Name + " (" + origin + ")", strict: true})
		} else {
			pt.entries = append(pt.entries, Entry{Prefix: it.Prefix, Kind: File, Origin: origin})
		}
	}
	return total
}

// missing says what can be done about a path that is not there.
func missing(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return err.Error() + " (make it, or take it out of allow.files)"
	}
	return err.Error()
}
