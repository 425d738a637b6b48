package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Choice is what `sources: auto` has chosen: a file, the journal, or both,
// when Postfix writes a file of its own and Dovecot to the journal.
type Choice struct {
	File    string          // "": none
	Journal *JournalOptions // nil: none
}

// Runner runs a program and returns what it wrote to standard output.
type Runner func(ctx context.Context, name string, args ...string) ([]byte, error)

var (
	mailLogs   = []string{"/var/log/mail.log", "/var/log/maillog", "/var/log/mail"}
	mailSlices = []string{"system-postfix.slice"}
	mailUnits  = []string{"postfix.service"}
	otherNames = []string{"dovecot"}
)

// ErrStandardOutput says that Postfix logs to its standard output, as in a
// container, where nobody else can read it.
var ErrStandardOutput = errors.New("maillog_file: Postfix logs to its standard output: set maillog_file to a file, or start postmoat on one")

// Detect finds out where the mail log is: in a file that Postfix writes itself
// (maillog_file), in the journal, if Postfix writes to it, which is preferred
// because it cannot be forged, or in a file of the syslog daemon. why says in a
// sentence what was chosen and for what reason. root is put before the paths of
// files: "" but in tests.
//
// The error is [ErrStandardOutput]; where nothing is found the choice is the
// file that a syslog daemon would make.
func Detect(ctx context.Context, root string, run Runner) (choice Choice, why string, err error) {
	journald := exists(root, "/run/systemd/journal/socket") || exists(root, "/run/systemd/journal/stdout")
	out, err := run(ctx, "postconf", "-h", "maillog_file")
	own := strings.TrimSpace(string(out))
	switch {
	case err != nil || own == "":
	case own == "/dev/stdout":
		return Choice{}, "", ErrStandardOutput
	case filepath.IsAbs(own):
		c := Choice{File: own}
		why := own + ": Postfix writes it itself (maillog_file)"
		if journald && newest(ctx, run, JournalOptions{Identifiers: otherNames}) > 0 {
			c.Journal = &JournalOptions{Identifiers: slices.Clone(otherNames)}
			why += ", and the journal for " + strings.Join(otherNames, ", ")
		}
		return c, why, nil
	}
	all := JournalOptions{Slices: slices.Clone(mailSlices), Units: slices.Clone(mailUnits), Identifiers: slices.Clone(otherNames)}
	file, written := freshest(root)
	if journald {
		postfix := all
		postfix.Identifiers = nil
		if newest(ctx, run, postfix) > 0 {
			return Choice{Journal: &all}, "the journal: Postfix writes to it, and other users cannot forge its lines there", nil
		}
	}
	switch {
	case file != "" && !written.IsZero():
		why := file + ": the mail log of the syslog daemon"
		if journald {
			why += "; the journal shows no line of Postfix (to see them a user must be in the group systemd-journal)"
		}
		return Choice{File: file}, why, nil
	case file != "" && !(journald && readable(ctx, run)):
		why := file + ": the mail log of the syslog daemon, empty as yet"
		if journald {
			why += "; the journal cannot be read (to do so a user must be in the group systemd-journal)"
		}
		return Choice{File: file}, why, nil
	case journald:
		// What Postfix hands to syslog comes here first; an empty file may be
		// what a syslog daemon left behind that is no longer there.
		return Choice{Journal: &all}, "the journal: no mail log has a line, and there is none of Postfix yet", nil
	}
	return Choice{File: mailLogs[0]}, mailLogs[0] + ": there is no mail log and no journal yet", nil
}

func exists(root, path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

// freshest is the mail log that was written to last, and when; empty ones count
// as never written.
func freshest(root string) (path string, at time.Time) {
	for _, p := range mailLogs {
		info, err := os.Stat(filepath.Join(root, p))
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if path == "" || info.Size() > 0 && info.ModTime().After(at) {
			path = p
			if info.Size() > 0 {
				at = info.ModTime()
			}
		}
	}
	return path, at
}

// readable says whether the journal of the system can be read: whether there is
// a line of its first process.
func readable(ctx context.Context, run Runner) bool {
	out, err := run(ctx, "journalctl", "-o", "export", "--no-pager", "--quiet", "-n", "1", "_PID=1")
	return err == nil && len(out) > 0
}

// newest is the time of the newest entry, in microseconds; 0: there is none.
func newest(ctx context.Context, run Runner, o JournalOptions) int64 {
	out, err := run(ctx, "journalctl", append([]string{"-o", "export", "--no-pager", "--quiet", "-n", "1"}, o.matches()...)...)
	if err != nil {
		return 0
	}
	e, err := newExporter(bytes.NewReader(out), defaultMaxLine).next()
	if err != nil {
		return 0
	}
	return e.time
}

// Of how much of two logs SameLog decides: lines of the file's end, entries of
// the journal's, and how many of the lines must be there too.
const (
	compareTail    = 64 << 10 // bytes
	compareEntries = "2000"
	compareLeast   = 5
	compareMessage = 20 // a shorter message is no proof
)

// SameLog says whether a file and the journal are the same log, so that who
// reads both would count each line twice: at least half of the newest messages
// of the journal are in the end of the file, too, or half of the lines of the
// file in the journal.
func SameLog(ctx context.Context, file string, o JournalOptions, run Runner) (bool, error) {
	lines, err := lastLines(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare %s with the journal: %w", file, err)
	}
	args := append([]string{"-o", "export", "--no-pager", "--quiet", "--all", "-n", compareEntries}, o.matches()...)
	out, err := run(ctx, "journalctl", args...)
	if err != nil {
		return false, fmt.Errorf("compare %s with the journal: %w", file, err)
	}
	messages := map[string]bool{}
	x := newExporter(bytes.NewReader(out), defaultMaxLine)
	for {
		e, err := x.next()
		if err != nil {
			break
		}
		if len(e.message) >= compareMessage {
			messages[string(e.message)] = true
		}
	}
	seen, both := map[string]bool{}, 0
	compared := 0
	for _, line := range lines {
		if len(line) < compareMessage {
			continue
		}
		compared++
		if m, ok := ending(line, messages); ok {
			both++
			seen[m] = true
		}
	}
	return both >= compareLeast && (2*both >= compared || 2*len(seen) >= len(messages)), nil
}

// ending finds the message that a line ends with.
func ending(line []byte, messages map[string]bool) (string, bool) {
	for rest := line; len(rest) >= compareMessage; {
		if messages[string(rest)] {
			return string(rest), true
		}
		i := bytes.IndexByte(rest, ' ')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	return "", false
}

// lastLines are the whole lines at the end of a file.
func lastLines(path string) ([][]byte, error) {
	t, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer t.close()
	size, err := t.size()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, min(size, compareTail))
	n, _ := t.file.ReadAt(buf, size-int64(len(buf)))
	data := buf[:n]
	if int64(n) < size {
		_, data = cutLine(data)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	return bytes.Split(data, newline), nil
}
