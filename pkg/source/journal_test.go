package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const fakeVariable = "SOURCE_TEST_JOURNAL"

// TestMain is journalctl, or the writer of a benchmark, when it is told so.
func TestMain(m *testing.M) {
	if dir := os.Getenv(fakeVariable); dir != "" {
		os.Exit(fakeJournalctl(dir, os.Args[1:]))
	}
	if job := os.Getenv(writerVariable); job != "" {
		if err := benchWriter(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeJournalctl shows the entries of the file "journal" in dir as journalctl
// -f does, until the file "die" names how many entries it shows before it ends.
// Unknown cursors are an error (rc 1) where the file "strict" exists, else the
// entries behind the place where the cursor would be are shown.
func fakeJournalctl(dir string, args []string) int {
	log, err := os.OpenFile(filepath.Join(dir, "args"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 3
	}
	fmt.Fprintf(log, "%q %q\n", args, os.Environ())
	log.Close()
	die := -1
	if b, err := os.ReadFile(filepath.Join(dir, "die")); err == nil {
		die, _ = strconv.Atoi(string(b))
	}
	_, err = os.Stat(filepath.Join(dir, "strict"))
	strict := err == nil
	cursor, since := "", int64(0)
	for _, a := range args {
		if c, ok := strings.CutPrefix(a, "--cursor="); ok {
			cursor = c
		}
		if s, ok := strings.CutPrefix(a, "--since=@"); ok {
			since, _ = strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
		}
	}
	shown, number := 0, 0
	for first := true; ; first = false {
		data, err := os.ReadFile(filepath.Join(dir, "journal"))
		if err != nil {
			return 4
		}
		all := strings.SplitAfter(string(data), "\n\n")
		all = all[:len(all)-1]
		switch {
		case !first:
		case cursor != "":
			has := func(e string) bool { return strings.HasPrefix(e, "__CURSOR="+cursor+"\n") }
			if number = slices.IndexFunc(all, has); number < 0 {
				if strict {
					fmt.Fprintln(os.Stderr, "Failed to seek to cursor: Invalid argument")
					return 1
				}
				number = 0
			}
		}
		follow := slices.Contains(args, "-f")
		if !follow && number < len(all) {
			os.Stdout.WriteString(all[number])
		}
		if !follow {
			return 0
		}
		for ; number < len(all); number++ {
			if shown == die {
				fmt.Fprintln(os.Stderr, "it broke")
				return 1
			}
			var at int64
			_, rest, _ := strings.Cut(all[number], "__REALTIME_TIMESTAMP=")
			fmt.Sscanf(rest, "%d", &at)
			if at > 0 && at < since {
				continue
			}
			os.Stdout.WriteString(all[number])
			shown++
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// A book is a journal that a test writes.
type book struct {
	t    *testing.T
	dir  string
	n    int
	from Position
	got  []string
	old  []bool
	o    JournalOptions
	j    *journal
}

func newBook(t *testing.T) *book {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &book{t: t, dir: t.TempDir()}
	b.o = JournalOptions{Slices: []string{"system-postfix.slice"}, Identifiers: []string{"dovecot"}, Users: []string{"0", "107"},
		Start: FromHistory, Journalctl: exe, Retry: time.Millisecond}
	b.file("journal", "")
	return b
}

func (b *book) file(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

const bookStart = 1795423560_000000

// raw adds an entry with these fields besides cursor and time.
func (b *book) raw(fields ...string) {
	b.t.Helper()
	b.n++
	f, err := os.OpenFile(filepath.Join(b.dir, "journal"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintf(f, "__CURSOR=s=1;i=%d\n__REALTIME_TIMESTAMP=%d\n%s\n\n", b.n, bookStart+b.n, strings.Join(fields, "\n"))
}

// entries adds n good ones.
func (b *book) entries(n int) {
	for range n {
		b.raw("_HOSTNAME=mx1", "_UID=107", "_SYSTEMD_SLICE=system-postfix.slice", "SYSLOG_IDENTIFIER=postfix/smtpd", "SYSLOG_PID=7", fmt.Sprintf("MESSAGE=line %d", b.n+1))
	}
}

// read follows until n lines have come in all, or fails.
func (b *book) read(n int) {
	b.t.Helper()
	if len(b.got) >= n {
		return
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	b.j = newJournal(b.o)
	b.j.environ = append(slices.Clone(b.j.environ), fakeVariable+"="+b.dir)
	err := b.j.Run(ctx, b.from, func(l Line) error {
		b.got = append(b.got, string(l.Text))
		b.old = append(b.old, l.Old)
		b.from = l.Position
		if len(b.got) == n {
			return errCrash
		}
		return nil
	})
	if err != errCrash {
		b.t.Fatalf("%v, %d lines of %d, status %+v", err, len(b.got), n, b.j.Status())
	}
}

func (b *book) want() {
	b.t.Helper()
	if len(b.got) != b.n {
		b.t.Errorf("%d lines of %d", len(b.got), b.n)
	}
	for i, s := range b.got {
		at := time.UnixMicro(bookStart + int64(i) + 1).UTC().Format("2006-01-02T15:04:05.000000Z")
		if want := fmt.Sprintf("%s mx1 postfix/smtpd[7]: line %d", at, i+1); s != want {
			b.t.Fatalf("%q, want %q", s, want)
		}
	}
}

func TestJournal(t *testing.T) {
	b := newBook(t)
	b.entries(50)
	b.read(20)
	b.entries(5)
	b.read(40)
	b.read(55)
	b.want()
	if s := b.j.Status(); s.Lines != 15 || s.Lag != -1 || len(s.Alarms) != 0 || s.LastLine.IsZero() {
		t.Errorf("%+v", s)
	}
	args, err := os.ReadFile(filepath.Join(b.dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"_SYSTEMD_SLICE=system-postfix.slice" "+" "SYSLOG_IDENTIFIER=dovecot"`, `"--cursor=s=1;i=40"`, `"--no-tail"`} {
		if !bytes.Contains(args, []byte(want)) {
			t.Errorf("arguments lack %s:\n%s", want, args)
		}
	}
	if bytes.Contains(args, []byte("HOME=")) {
		t.Errorf("the environment was passed on:\n%s", args)
	}
}

// journalctl dies again and again; nothing is lost and nothing comes twice.
func TestJournalDies(t *testing.T) {
	b := newBook(t)
	b.file("die", "9")
	b.entries(60)
	b.read(20)
	b.read(60)
	b.want()
	s := b.j.Status()
	if s.Restarts < 4 {
		t.Errorf("%+v", s)
	}
}

func TestJournalUnknownCursor(t *testing.T) {
	for _, strict := range []bool{false, true} {
		b := newBook(t)
		b.entries(30)
		b.read(10)
		// The first entries are deleted.
		data, err := os.ReadFile(filepath.Join(b.dir, "journal"))
		if err != nil {
			t.Fatal(err)
		}
		all := strings.SplitAfter(string(data), "\n\n")
		b.file("journal", strings.Join(all[10:], ""))
		if strict {
			b.file("strict", "")
		}
		b.read(30)
		b.want()
		s := b.j.Status()
		if len(s.Alarms) != 1 || s.Alarms[0].Kind != Gap {
			t.Errorf("strict %v: %+v", strict, s)
		}
	}
}

// From the end means from the start of Run, whenever journalctl gets to it.
func TestJournalFromEnd(t *testing.T) {
	b := newBook(t)
	b.o.Start = FromEnd
	b.o.Now = func() time.Time { return time.UnixMicro(bookStart + 10) }
	b.entries(10)
	b.file("die", "0") // it dies again and again
	done := make(chan bool)
	go func() {
		defer close(done)
		for args := ""; !strings.Contains(args, "--since=@"); {
			data, _ := os.ReadFile(filepath.Join(b.dir, "args"))
			args = string(data)
			time.Sleep(time.Millisecond)
		}
		b.entries(3)
		os.Remove(filepath.Join(b.dir, "die"))
	}()
	b.read(3)
	<-done
	for i, s := range b.got {
		if want := fmt.Sprintf("]: line %d", 11+i); !strings.HasSuffix(s, want) {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

// Entries that come after the clock was set back are no old ones.
func TestJournalClockSetBack(t *testing.T) {
	b := newBook(t)
	b.o.Now = func() time.Time { return time.UnixMicro(bookStart + 2) }
	b.entries(2) // before Run, and since
	b.raw(fmt.Sprintf("__REALTIME_TIMESTAMP=%d", bookStart-3600_000000), "_HOSTNAME=mx1", "_UID=107",
		"_SYSTEMD_SLICE=system-postfix.slice", "SYSLOG_IDENTIFIER=postfix/smtpd", "MESSAGE=an hour earlier")
	b.read(3)
	if want := []bool{true, false, false}; !slices.Equal(b.old, want) {
		t.Errorf("old: %v, want %v", b.old, want)
	}
}

func TestJournalForged(t *testing.T) {
	b := newBook(t)
	fields := map[string]string{"_HOSTNAME": "mx1", "_UID": "107", "_SYSTEMD_SLICE": "system-postfix.slice", "SYSLOG_IDENTIFIER": "postfix/smtpd", "_PID": "7"}
	add := func(message string, change ...string) {
		var list []string
		for _, name := range []string{"_HOSTNAME", "_UID", "_SYSTEMD_SLICE", "SYSLOG_IDENTIFIER", "_PID"} {
			list = append(list, name+"="+fields[name])
		}
		for _, c := range change {
			name, _, _ := strings.Cut(c, "=")
			list = slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, name+"=") })
			if c != name {
				list = append(list, c)
			}
		}
		b.raw(append(list, "MESSAGE="+message)...)
	}
	add("good 1")
	add("forged: logger of a user", "_UID=1000", "_SYSTEMD_SLICE=user-1000.slice", "_COMM=logger")
	add("forged: .forward of a user, in Postfix's slice", "_UID=1000", "_COMM=logger")
	add("forged: a web server, under Dovecot's name", "_UID=33", "_SYSTEMD_SLICE=system.slice", "SYSLOG_IDENTIFIER=dovecot")
	add("forged: no user", "_UID")
	add("forged: root, under a name that is not read", "_UID=0", "_SYSTEMD_SLICE=system.slice", "SYSLOG_IDENTIFIER=postfix/smtpd")
	add("good 2", "_UID=0", "_SYSTEMD_SLICE=system-dovecot.slice", "SYSLOG_IDENTIFIER=dovecot")
	b.raw("_UID=1000", "_UID=0", "_SYSTEMD_SLICE=system-postfix.slice", "SYSLOG_IDENTIFIER=postfix/smtpd", "MESSAGE=forged: two users")
	add("good 3")
	b.read(3)
	for i, s := range b.got {
		if want := fmt.Sprintf(": good %d", i+1); !strings.HasSuffix(s, want) {
			t.Errorf("%q, want %q", s, want)
		}
	}
	s := b.j.Status()
	if s.Refused != 6 || len(s.Alarms) != 1 || s.Alarms[0].Kind != Forged {
		t.Errorf("%+v", s)
	}
}

func TestJournalTrust(t *testing.T) {
	for _, c := range []struct {
		name string
		o    JournalOptions
		e    entry
		want bool
	}{
		{"unit", JournalOptions{Units: []string{"postfix.service"}}, entry{uid: []byte("0"), unit: []byte("postfix.service")}, true},
		{"other unit", JournalOptions{Units: []string{"postfix.service"}}, entry{uid: []byte("0"), unit: []byte("cron.service")}, false},
		{"program", JournalOptions{Identifiers: []string{"x"}, Programs: []string{"/usr/lib/postfix/"}}, entry{uid: []byte("0"), identifier: []byte("x"), program: []byte("/usr/lib/postfix/sbin/smtpd")}, true},
		{"other program", JournalOptions{Identifiers: []string{"x"}, Programs: []string{"/usr/lib/postfix/"}}, entry{uid: []byte("0"), identifier: []byte("x"), program: []byte("/usr/bin/logger")}, false},
		{"program gone too soon", JournalOptions{Identifiers: []string{"x"}, Programs: []string{"/usr/lib/postfix/"}}, entry{uid: []byte("0"), identifier: []byte("x")}, true},
		{"command", JournalOptions{Identifiers: []string{"x"}, Commands: []string{"smtpd"}}, entry{uid: []byte("0"), identifier: []byte("x"), command: []byte("logger")}, false},
	} {
		c.o.Users = []string{"root"}
		tr, err := newTrust(c.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := tr.accepts(&c.e); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	unknown := func(string) (string, error) { return "", errors.New("unknown") }
	if _, err := newTrust(JournalOptions{Users: []string{"nobody-here"}}, unknown); err == nil {
		t.Error("a journal nobody may write is no error")
	}
	tr, err := newTrust(JournalOptions{Users: []string{"root", "postfix"}}, func(string) (string, error) { return "107", nil })
	if err != nil || fmt.Sprint(tr.uids) != "[0 107]" {
		t.Errorf("%v %v", tr.uids, err)
	}
}

// The child writes garbage: it is started again, and no line comes of it.
func TestJournalGarbage(t *testing.T) {
	b := newBook(t)
	b.file("journal", "garbage from somewhere\n\n")
	ctx, cancel := context.WithCancel(t.Context())
	j := newJournal(b.o)
	j.environ = append(slices.Clone(j.environ), fakeVariable+"="+b.dir)
	done := make(chan error)
	go func() { done <- j.Run(ctx, Position{}, func(Line) error { return errCrash }) }()
	for j.Status().Restarts < 2 {
		time.Sleep(time.Millisecond)
	}
	s := j.Status()
	if s.Lines != 0 || len(s.Alarms) != 1 || s.Alarms[0].Kind != Journal || !strings.Contains(s.Alarms[0].Text, errExport.Error()) {
		t.Errorf("%+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestJournalMissing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	j := newJournal(JournalOptions{Identifiers: []string{"x"}, Users: []string{"0"}, Journalctl: filepath.Join(t.TempDir(), "journalctl"), Retry: time.Millisecond})
	done := make(chan error)
	go func() { done <- j.Run(ctx, Position{}, nil) }()
	for j.Status().Restarts < 2 {
		time.Sleep(time.Millisecond)
	}
	if s := j.Status(); s.State != Failing || len(s.Alarms) != 1 || s.Alarms[0].Kind != Journal {
		t.Errorf("%+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// testdata/journal-export.txt was written by journalctl 252.
func TestExportRecorded(t *testing.T) {
	f, err := os.Open("testdata/journal-export.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x := newExporter(f, defaultMaxLine)
	var got []string
	for {
		e, err := x.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		line, ok := e.line(nil)
		if !ok || !bytes.HasPrefix(e.cursor, []byte("s=")) || string(e.uid) != "0" {
			t.Fatalf("%+v", e)
		}
		got = append(got, string(line))
	}
	want := []string{
		"2026-11-23T08:46:00.423440Z mx1 postfix/smtpd[4711]: connect from unknown[198.51.100.7]",
		"2026-11-23T08:46:00.425646Z mx1 postfix/smtpd[4711]: warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
		"2026-11-23T08:46:00.427770Z mx1 postfix/smtpd[4711]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 5.7.1 <v@other.example>: Relay access denied; from=<u@good.example> to=<v@other.example> proto=ESMTP helo=<jürgen>",
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("%q", got)
	}
	data, err := os.ReadFile("testdata/journal-export.txt")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte("__CURSOR=")); n != len(got) {
		t.Errorf("%d entries of %d", len(got), n)
	}
}

// field writes a field as journalctl does.
func field(b *bytes.Buffer, name, value string, binaryForm bool) {
	if !binaryForm && !strings.Contains(value, "\n") {
		fmt.Fprintf(b, "%s=%s\n", name, value)
		return
	}
	b.WriteString(name + "\n")
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	b.WriteString(value + "\n")
}

func TestExportBinary(t *testing.T) {
	forged := "ok\n\n__CURSOR=forged\n_UID=0\nMESSAGE=forged\n2026-11-23T08:46:00.4Z mx1 postfix/smtpd[1]: connect from unknown[203.0.113.9]\x00\x7f\xff"
	var b bytes.Buffer
	field(&b, "__CURSOR", "c1", false)
	field(&b, "__REALTIME_TIMESTAMP", "1795423560423440", false)
	field(&b, "_UID", "1000", false)
	field(&b, "SYSLOG_IDENTIFIER", "evil]: x\nline", true)
	field(&b, "COREDUMP", strings.Repeat("x\n\n", 100_000), true)
	field(&b, "OTHER", strings.Repeat("y", 300_000), false)
	field(&b, "MESSAGE", forged, true)
	b.WriteString("\n")
	field(&b, "__CURSOR", "c2", false)
	field(&b, "__REALTIME_TIMESTAMP", "1795423560423441", false)
	field(&b, "MESSAGE", strings.Repeat("z", 70_000), false)
	b.WriteString("\n\n")
	x := newExporter(&b, defaultMaxLine)
	e, err := x.next()
	if err != nil {
		t.Fatal(err)
	}
	line, ok := e.line(nil)
	want := "2026-11-23T08:46:00.423440Z localhost evil___x_line: " + strings.NewReplacer("\n", " ", "\x00", " ", "\x7f", " ").Replace(forged)
	if !ok || string(line) != want || string(e.uid) != "1000" || string(e.cursor) != "c1" {
		t.Errorf("%q\nwant %q", line, want)
	}
	if e, err = x.next(); err != nil || !e.long || string(e.cursor) != "c2" {
		t.Errorf("%+v %v", e, err)
	}
	if _, ok := e.line(nil); ok || cap(x.raw) > 2*defaultMaxLine {
		t.Errorf("a long message was taken, or %d bytes held", cap(x.raw))
	}
	if _, err = x.next(); err != io.EOF {
		t.Error(err)
	}
}

func TestExportBroken(t *testing.T) {
	for _, s := range []string{"lower=1\n\n", "A B=1\n\n", strings.Repeat("X", 65) + "=1\n\n", "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff\n\n",
		"MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00ab\n\n", "{\"MESSAGE\":1}\n"} {
		if _, err := newExporter(strings.NewReader(s), 100).next(); !errors.Is(err, errExport) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"MESSAGE=x\n", "MESSAGE\n\x05\x00", "MESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00ab", "MESS"} {
		if e, err := newExporter(strings.NewReader(s), 100).next(); err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v %v", s, e, err)
		}
	}
}

func FuzzExport(f *testing.F) {
	data, err := os.ReadFile("testdata/journal-export.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:2000], "message", int64(1))
	f.Add([]byte("MESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00ab\ncd\n__CURSOR=x\n\n"), "a\nb", int64(1795423560423440))
	f.Fuzz(func(t *testing.T, data []byte, message string, at int64) {
		// Whatever comes: no panic, bounded, no line in a line.
		x := newExporter(bytes.NewReader(data), 1000)
		for {
			e, err := x.next()
			if err != nil {
				break
			}
			line, ok := e.line(nil)
			if ok && (bytes.ContainsAny(line, "\n\r\x00") || len(line) > 1000+3*300) {
				t.Fatalf("%q", line)
			}
		}
		// What is written well is read well, and the next entry too.
		var b bytes.Buffer
		r := rand.New(rand.NewPCG(uint64(at), 1))
		for range 2 {
			field(&b, "__CURSOR", "c", false)
			field(&b, "FIELD_1", string(data), true)
			field(&b, "MESSAGE", message, r.IntN(2) == 0)
			field(&b, "__REALTIME_TIMESTAMP", strconv.FormatInt(at, 10), false)
			b.WriteString("\n")
		}
		x = newExporter(bufio.NewReaderSize(&b, 16), 1000)
		for range 2 {
			e, err := x.next()
			if err != nil {
				t.Fatal(err)
			}
			if want := message; len(want) <= 1000 && string(e.message) != want || e.long != (len(message) > 1000) {
				t.Fatalf("%q, want %q", e.message, want)
			}
			if at > 0 && e.time != at {
				t.Fatalf("time %d, want %d", e.time, at)
			}
		}
	})
}
