package maillog

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the corpus, wherever the tests run
)

// corpus is the folder of the lines with their answers; see the head of
// smtpd.log in it for the notation. Adding a case needs no Go.
const corpus = "../../testdata/maillog"

// A corpusCase is a line and what it must give; want is "" for a line that is only fed.
type corpusCase struct {
	file       string
	line       int
	text       []byte
	kind       string
	client     string
	want       map[string]string
	directives map[string]string // "@ key=value" in front of the line
}

func (c *corpusCase) String() string {
	return fmt.Sprintf("%s:%d: %.200s", c.file, c.line, c.text)
}

func readCorpus(t testing.TB, pattern string) []corpusCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus files %s: %v", pattern, err)
	}
	var cases []corpusCase
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var directives map[string]string
		for n, l := range bytes.Split(data, []byte("\n")) {
			switch {
			case len(l) == 0 || l[0] == '#':
			case bytes.HasPrefix(l, []byte("@ ")):
				directives = corpusFields(t, f, n+1, string(l[2:]))
			case bytes.HasPrefix(l, []byte("= ")):
				last := &cases[len(cases)-1]
				fields := corpusFields(t, f, n+1, string(l[2:]))
				if last.kind != "" {
					t.Fatalf("%s:%d: two answers", f, n+1)
				}
				last.kind, last.client = fields["0"], fields["1"]
				delete(fields, "0")
				delete(fields, "1")
				last.want = fields
			default:
				cases = append(cases, corpusCase{file: filepath.Base(f), line: n + 1, text: l, directives: directives})
				directives = nil
			}
		}
	}
	return cases
}

// corpusFields splits `word word key=value key="quoted value"`; the words are
// called "0" and "1".
func corpusFields(t testing.TB, file string, n int, s string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		key, value := strconv.Itoa(len(m)), ""
		end := strings.IndexAny(s, " =")
		if end >= 0 && s[end] == '=' {
			key, s = s[:end], s[end+1:]
			if strings.HasPrefix(s, `"`) {
				q, err := strconv.QuotedPrefix(s)
				if err != nil {
					t.Fatalf("%s:%d: %v", file, n, err)
				}
				value, _ = strconv.Unquote(q)
				m[key], s = value, s[len(q):]
				continue
			}
			if end = strings.IndexByte(s, ' '); end < 0 {
				end = len(s)
			}
		} else if end < 0 {
			end = len(s)
		}
		m[key], s = s[:end], s[end:]
	}
	return m
}

// show is a field of an event in the notation of the corpus.
func show(t testing.TB, ev *Event, field string) string {
	text := func(b []byte) string {
		if b == nil {
			return "-"
		}
		if len(b) == 0 {
			return "<>"
		}
		return string(b)
	}
	name := func(s fmt.Stringer) string {
		if s.String() == "" {
			return "-"
		}
		return s.String()
	}
	tally := func(v Tally) string { return fmt.Sprintf("%d/%d", v.OK, v.Total) }
	switch field {
	case "host":
		return text(ev.Text(Host))
	case "tag":
		return text(ev.Text(Tag))
	case "pid":
		return strconv.Itoa(int(ev.PID))
	case "stamp":
		offset := "-"
		if ev.Stamp.Offset != NoOffset {
			offset = strconv.Itoa(int(ev.Stamp.Offset))
		}
		return fmt.Sprintf("%d-%d-%d/%d/%s", ev.Stamp.Year, ev.Stamp.Month, ev.Stamp.Day, ev.Stamp.Second, offset)
	case "service":
		return text(ev.Text(Service))
	case "queue":
		return text(ev.Text(QueueID))
	case "name":
		return text(ev.Text(ClientName))
	case "port":
		return strconv.Itoa(int(ev.Port))
	case "stage":
		return name(ev.Stage)
	case "code":
		return strconv.Itoa(int(ev.Code))
	case "dsn":
		return text(ev.Text(DSN))
	case "reason":
		return name(ev.Reason)
	case "helo":
		return text(ev.Text(Helo))
	case "from":
		return text(ev.Text(Sender))
	case "to":
		return text(ev.Text(Recipient))
	case "proto":
		return text(ev.Text(Proto))
	case "method":
		return text(ev.Text(SASLMethod))
	case "user":
		return text(ev.Text(SASLUser))
	case "auth":
		return tally(ev.Commands.Auth)
	case "mail":
		return tally(ev.Commands.Mail)
	case "rcpt":
		return tally(ev.Commands.Rcpt)
	case "data":
		return tally(ev.Commands.Data)
	case "bdat":
		return tally(ev.Commands.Bdat)
	case "unknown":
		return tally(ev.Commands.Unknown)
	case "commands":
		return tally(ev.Commands.All)
	case "repeat":
		return strconv.Itoa(int(ev.Repeat))
	case "door":
		return ev.Door().String()
	case "time":
		return time.Unix(ev.Time, 0).UTC().Format(time.RFC3339)
	case "count":
		return strconv.Itoa(int(ev.Count))
	case "failed":
		return strconv.Itoa(int(ev.AuthFailed))
	case "messages":
		return strconv.Itoa(int(ev.Messages))
	case "recipients":
		return strconv.Itoa(int(ev.Recipients()))
	case "logins":
		return strconv.Itoa(int(ev.Logins))
	}
	t.Fatalf("no such field: %q", field)
	return ""
}

func check(t *testing.T, c *corpusCase, ev *Event) {
	t.Helper()
	if got := ev.Kind.String(); got != c.kind {
		t.Errorf("%v\n got kind %s, want %s", c, got, c.kind)
		return
	}
	client := ""
	if ev.Client.IsValid() {
		client = ev.Client.String()
	}
	if want := strings.TrimPrefix(c.client, "-"); client != want {
		t.Errorf("%v\n got client %q, want %q", c, client, want)
	}
	for f, want := range c.want {
		if got := show(t, ev, f); got != want {
			t.Errorf("%v\n got %s=%s, want %s", c, f, got, want)
		}
	}
}

func corpusLines(t testing.TB) []corpusCase {
	return append(readCorpus(t, "*.log"), readCorpus(t, "formats/*.log")...)
}

func TestCorpus(t *testing.T) {
	kinds := map[string]bool{}
	for _, c := range corpusLines(t) {
		if c.kind == "" {
			t.Errorf("%v: no answer", &c)
			continue
		}
		kinds[c.kind] = true
		for _, end := range []string{"", "\n", "\r\n"} {
			ev := Event{Kind: SMTPDReject, Client: netip.MustParseAddr("192.0.2.1"), Repeat: 9}
			ev.SetText(Helo, []byte("stale"))
			ok := Parse(append(bytes.Clone(c.text), end...), &ev)
			if ok != (ev.Kind > KindUnknown) {
				t.Errorf("%v: Parse returned %t for kind %v", &c, ok, ev.Kind)
			}
			check(t, &c, &ev)
		}
		checkParts(t, &c)
	}
	for k := range NumKinds {
		if name := k.String(); !kinds[name] && k != KindCustom {
			t.Errorf("no line of kind %s in the corpus", name)
		}
	}
}

// checkParts holds Split and parseMessage against Parse.
func checkParts(t *testing.T, c *corpusCase) {
	t.Helper()
	var whole, parts Event
	Parse(c.text, &whole)
	ok := Split(c.text, &parts)
	if !ok {
		if whole.Kind > KindUnknown {
			t.Errorf("%v: Split gives nothing", c)
		}
		return
	}
	if parts.Kind != KindNone || parts.Client.IsValid() {
		t.Errorf("%v: Split reads the message", c)
	}
	parts.SetText(Helo, []byte("stale"))
	parts.Kind = SMTPDReject
	parseMessage(&parts)
	check(t, c, &parts)
	if parts.Stamp != whole.Stamp || !bytes.Equal(parts.Text(Host), whole.Text(Host)) || parts.PID != whole.PID {
		t.Errorf("%v: another envelope", c)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	var ev Event
	for _, c := range corpusLines(t) {
		if bytes.HasPrefix(c.text, []byte("{")) {
			continue // JSON escapes: see Split
		}
		if n := testing.AllocsPerRun(10, func() { Parse(c.text, &ev) }); n != 0 {
			t.Errorf("%v: %v allocations", &c, n)
		}
	}
}

func TestDamagedLines(t *testing.T) {
	const good = "Nov  5 08:46:49 mx1 postfix/smtpd[14545]: connect from unknown[192.0.2.7]"
	var ev Event
	for kind, lines := range map[Kind][]string{
		KindNone: {
			"", "\n", "\r\n", "\x00", "\x00\x00\n", " ",
			"Nov  5 08:46:49 mx1 -- MARK --", "2026-11-05T08:46:49Z a web app", "2026-11-05T08:46:49Z",
		},
		KindNoTime: {
			"\xff", "{", "<", "<22>1 ", `{"log":"`, "[", "\tat main.go:7", good[len("Nov  5 08:46:49 mx1 "):],
			"<22>1 - mx1 postfix/smtpd 7 - - connect from unknown[192.0.2.7]", "Nov 35 08:46:49 mx1 postfix/smtpd[1]: x",
		},
	} {
		for _, line := range lines {
			if Parse([]byte(line), &ev) || ev.Kind != kind {
				t.Errorf("%q gives kind %d, want %d", line, ev.Kind, kind)
			}
		}
	}
	if !Parse([]byte("\x00\x00\x00"+good), &ev) || ev.Client != netip.MustParseAddr("192.0.2.7") {
		t.Error("zeroes in front of a line are not skipped")
	}
	for n := range len(good) { // no prefix of it names another client
		if Parse([]byte(good[:n]), &ev) {
			t.Errorf("%q gives %v", good[:n], ev.Kind)
		}
	}
	long := append([]byte("Nov  5 08:46:49 mx1 postfix/smtpd[1]: warning: non-SMTP command from unknown[192.0.2.7]: "), bytes.Repeat([]byte("x[203.0.113.9] "), 1<<16)...)
	if !Parse(long, &ev) || ev.Client != netip.MustParseAddr("192.0.2.7") {
		t.Error("a line of a megabyte is not read")
	}
}

// TestDoorIsKnown holds the door that Parse leaves with an event against what
// its texts say.
func TestDoorIsKnown(t *testing.T) {
	login := 0
	for _, c := range corpusLines(t) {
		var ev Event
		if !Parse(c.text, &ev) {
			continue
		}
		if want := doorOf(&ev); ev.Door() != want {
			t.Errorf("%s: door %v, want %v", c.text, ev.Door(), want)
		} else if want == Login {
			login++
		}
	}
	for _, tag := range []string{"a/smtps/smtpd", "postfix/submission/smtpd", "postfix/submissions/smtpd", "postfix/smtp/smtpd", "x/587/smtpd", "postfix/25/smtpd"} {
		for _, msg := range []string{"connect from unknown[192.0.2.7]", "warning: Connection rate limit exceeded: 61 from unknown[192.0.2.7] for service smtps"} {
			ev := parsed(t, "Nov 23 08:00:00 mx1 "+tag+"[7]: "+msg)
			if want := doorOf(ev); ev.Door() != want {
				t.Errorf("%s: %s: door %v, want %v", tag, msg, ev.Door(), want)
			}
		}
	}
	if login < 20 {
		t.Errorf("only %d lines of the corpus are of the login door", login)
	}
}
