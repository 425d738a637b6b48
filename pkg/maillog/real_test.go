package maillog

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A realAnswer is a row of real/expected.tsv, made from what was sent to a
// real Postfix, not by a parser.
type realAnswer struct {
	kind, client, code, helo, from, to string
}

func readTSV(t *testing.T, name string) [][]string {
	t.Helper()
	data, err := os.ReadFile(corpus + "/real/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for l := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
		rows = append(rows, strings.Split(l, "\t"))
	}
	return rows[1:]
}

func realAnswers(t *testing.T) []realAnswer {
	var out []realAnswer
	for _, r := range readTSV(t, "expected.tsv") {
		out = append(out, realAnswer{r[1], r[2], r[3], r[4], r[5], r[6]})
	}
	return out
}

// joined parses a file of real/ and joins it in order.
func joined(t *testing.T, name string) (lines [][]byte, events []Event) {
	t.Helper()
	data, err := os.ReadFile(corpus + "/real/" + name)
	if err != nil {
		t.Fatal(err)
	}
	j := NewJoiner()
	j.Source(7, SourceOptions{Reference: 1795423560}) // 2026-11-23
	mark := int64(0)
	for n, l := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		var ev Event
		if Parse(l, &ev) {
			j.Join(7, uint64(n), mark, &ev)
			mark = max(mark, ev.Time)
		}
		lines, events = append(lines, l), append(events, ev)
	}
	return lines, events
}

func eventKind(ev *Event) string {
	if ev.Kind == KindActive {
		return "none" // of interest to the joiner only
	}
	return ev.Kind.String()
}

func eventClient(ev *Event) string {
	if ev.Client.IsValid() {
		return ev.Client.String()
	}
	return ""
}

func TestRealLog(t *testing.T) {
	for _, file := range []string{"maillog.log", "iso.txt"} {
		lines, events := joined(t, file)
		answers := realAnswers(t)
		if len(lines) != len(answers) {
			t.Fatalf("%s: %d lines, %d answers", file, len(lines), len(answers))
		}
		for i, want := range answers {
			ev := &events[i]
			if eventKind(ev) != want.kind || eventClient(ev) != want.client {
				t.Errorf("%s:%d: got %s %s, want %s %s\n%s", file, i+1, eventKind(ev), eventClient(ev), want.kind, want.client, lines[i])
			}
			code := string(ev.Text(DSN))
			if ev.Code > 0 {
				code = strings.TrimSpace(strconv.Itoa(int(ev.Code)) + " " + code)
			}
			if want.kind != "none" && want.code != "-" && want.code[0] >= '2' && want.code[0] <= '5' && code != want.code {
				t.Errorf("%s:%d: got code %s, want %s\n%s", file, i+1, code, want.code, lines[i])
			}
			for _, f := range []struct{ name, want string }{{"helo", want.helo}, {"from", want.from}, {"to", want.to}} {
				got := show(t, ev, f.name)
				// "-" is absent or not checked.
				if want.kind != "none" && f.want != "-" && got != f.want {
					t.Errorf("%s:%d: got %s %s, want %s\n%s", file, i+1, f.name, got, f.want, lines[i])
				}
			}
			if year := int64(1795392000); ev.Kind > KindUnknown && (ev.Time < year || ev.Time > year+86400) {
				t.Errorf("%s:%d: another day: %d", file, i+1, ev.Time)
			}
		}
	}
}

// TestRealLogWithoutDaemon reads the same log as rsyslog's RFC 5424 template
// writes it: the daemon is lost, so that only what smtpd and postscreen alone
// write can be told.
func TestRealLogWithoutDaemon(t *testing.T) {
	lines, events := joined(t, "rfc5424.txt")
	for i, want := range realAnswers(t) {
		kind, client := want.kind, want.client
		switch program, _, _ := strings.Cut(kind, "."); program {
		case "anvil", "dnsblog":
			kind, client = "none", ""
		case "tlsproxy":
			switch kind {
			case "tlsproxy.disconnect":
				kind = "postscreen.disconnect" // the same text
			default:
				kind, client = "none", ""
			}
		case "cleanup":
			if !strings.HasPrefix(kind, "cleanup.milter_") {
				kind, client = "none", ""
			}
		}
		ev := &events[i]
		if eventKind(ev) != kind || eventClient(ev) != client {
			t.Errorf("%d: got %s %s, want %s %s\n%s", i+1, eventKind(ev), eventClient(ev), kind, client, lines[i])
		}
	}
}

func TestHostileLines(t *testing.T) {
	rows := readTSV(t, "hostile.tsv")
	if len(rows) < 80 {
		t.Fatalf("%d rows", len(rows))
	}
	_, events := joined(t, "maillog.log")
	for _, r := range rows {
		n, source, kind, want, trap, line := r[0], r[1], r[2], r[3], r[4], r[5]
		if want == "(none)" {
			want = ""
		}
		var ev Event
		Parse([]byte(line), &ev)
		if strings.HasPrefix(kind, "cleanup.") {
			// The client stands behind free text: it comes with the queue ID,
			// from the whole log in order.
			if c := eventClient(&ev); c != "" && c != want {
				t.Errorf("%s %s: Parse blames %s, want %s", n, trap, c, want)
			}
			at, err := strconv.Atoi(strings.TrimPrefix(source, "real-maillog.log:"))
			if err != nil {
				t.Fatal(err)
			}
			ev = events[at-1]
		}
		if eventKind(&ev) != kind || eventClient(&ev) != want {
			t.Errorf("%s %s: got %s %s, want %s %s\n%s", n, trap, eventKind(&ev), eventClient(&ev), kind, want, line)
		}
	}
}
