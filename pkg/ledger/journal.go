package ledger

import (
	"errors"
	"fmt"
	"os"
)

// A journal is a file of records that is being appended to.
type journal struct {
	name   string
	file   *os.File
	size   int64 // of what is whole
	torn   bool  // there may be something behind size: not to be written to any more
	synced bool  // nothing was written since the last sync
	named  bool  // the folder was synced since the file was made
}

// create makes the journal of the present generation, with its header. An error
// leaves no file.
func (l *Ledger) create() (*journal, error) {
	path := l.path(journalName, l.generation)
	j := &journal{name: fileName(journalName, l.generation)}
	var err error
	if j.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, fmt.Errorf("make %s: %w", j.name, bare(err))
	}
	if err := j.write(header{generation: l.generation, at: l.now()}.appendTo(nil, journalMagic)); err != nil {
		j.file.Close()
		os.Remove(path)
		return nil, err
	}
	return j, nil
}

// write appends b. After an error the file is as long as before, or torn.
func (j *journal) write(b []byte) error {
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		j.torn = j.file.Truncate(j.size) != nil
		return fmt.Errorf("write %s: %w", j.name, bare(err))
	}
	j.size += int64(len(b))
	j.synced = false
	return nil
}

// sync makes what was written durable. A nil journal is.
func (j *journal) sync() error {
	if j == nil || j.synced {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", j.name, bare(err))
	}
	j.synced = true
	return nil
}

// close syncs and closes the file of a journal, if there is one.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.sync(), j.file.Close())
}
