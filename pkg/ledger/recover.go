package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Recovery says what Recover found.
type Recovery struct {
	Snapshot string    // name of the file that was loaded; "" for none
	At       time.Time // when it was begun, hence whose state it is
	Records  int       // taken by each
	Torn     int       // journals that end in half a record, as a power cut or a kill leaves them
	Problems []string  // for an operator, each a sentence without its full stop
}

// Recover is for the time between Open and the first Append. It calls load with
// the payload of the newest whole snapshot. One that is damaged, or that load
// refuses, is moved aside (NAME.bad-TIME, the newest three are kept) and the
// one before is tried, so load must cope with being called again. Then each is
// called for every record that was appended after that snapshot, in order; the
// bytes are valid until it returns. A record that each refuses is left out.
//
// What is wrong with a file is a problem in Recovery; the error is that the
// folder cannot be read.
func (l *Ledger) Recover(load func(r io.Reader) error, each func(record []byte) error) (Recovery, error) {
	var out Recovery
	have, err := list(l.folder)
	if err != nil {
		return out, fmt.Errorf("read state folder %s: %w", l.folder, bare(err))
	}
	from, last := uint64(0), serial{}
	for _, g := range slices.Backward(have.snapshots) {
		name := fileName(snapshotName, g)
		h, err := l.load(g, load)
		if err == nil {
			out.Snapshot, out.At, from, last = name, h.at, g, h.serial
			break
		}
		out.problem("%s is not used: %v; %s", name, err, l.moveAside(name, l.now()))
	}
	switch {
	case len(out.Problems) == 0:
	case out.Snapshot != "":
		out.problem("%s, written %s, is used instead", out.Snapshot, out.At.UTC().Format(time.RFC3339))
	default:
		out.problem("no snapshot is left: the state is what the journal alone says")
	}
	for _, g := range have.journals {
		if g >= from {
			last = l.replay(g, last, each, &out)
		}
	}
	return out, nil
}

func (r *Recovery) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// load checks a snapshot, and then loads it.
func (l *Ledger) load(generation uint64, load func(r io.Reader) error) (header, error) {
	f, size, err := openFile(l.path(snapshotName, generation))
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	h, length, err := checkSnapshot(bufio.NewReaderSize(f, 256<<10), size, generation)
	if err != nil {
		return header{}, err
	}
	if _, err := f.Seek(headerSize, io.SeekStart); err != nil {
		return header{}, bare(err)
	}
	return h, load(bufio.NewReaderSize(io.LimitReader(f, length), 256<<10))
}

// replay calls each for the records of a journal that come after last, and
// returns the last one.
func (l *Ledger) replay(generation uint64, last serial, each func(record []byte) error, out *Recovery) serial {
	name := fileName(journalName, generation)
	f, _, err := openFile(l.path(journalName, generation))
	if err != nil {
		out.problem("%s is not used: %v", name, err)
		return last
	}
	defer f.Close()
	taken, refused := 0, 0
	var first error
	torn, err := readJournal(f, generation, func(s serial, record []byte) {
		if !s.after(last) {
			return // the snapshot has it, or another journal had it
		}
		last = s
		if err := each(record); err != nil {
			if refused++; first == nil {
				first = err
			}
			return
		}
		taken++
	})
	out.Records += taken
	if torn {
		out.Torn++
	}
	if refused > 0 {
		out.problem("%d records of %s are left out, the first because: %v", refused, name, first)
	}
	switch {
	case err == nil:
	case errors.Is(err, errNewer), errors.Is(err, errHeader):
		out.problem("%s is not used: %v; %s", name, err, l.moveAside(name, l.now()))
	default:
		out.problem("%s ends early: %v; %d records before that are used", name, err, taken)
	}
	return last
}

// openFile opens a file of the ledger for reading.
func openFile(path string) (*os.File, int64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	return f, info.Size(), nil
}
