package maillog

import (
	"bytes"
	"os"
	"testing"
)

// benchLog is a log to measure with: that of $POSTMOAT_BENCH_LOG (loggen's
// mix a, say), else the real one of the corpus.
func benchLog(b *testing.B) []byte {
	b.Helper()
	name := os.Getenv("POSTMOAT_BENCH_LOG")
	if name == "" {
		name = corpus + "/real/maillog.log"
	}
	log, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return log
}

func BenchmarkParse(b *testing.B) {
	log := benchLog(b)
	lines := bytes.Count(log, []byte("\n"))
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	var ev Event
	events := 0
	for b.Loop() {
		for rest := log; len(rest) > 0; {
			i := bytes.IndexByte(rest, '\n') + 1
			if i == 0 {
				i = len(rest)
			}
			if Parse(rest[:i], &ev) {
				events++
			}
			rest = rest[i:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
	b.ReportMetric(float64(events)/float64(b.N*lines), "events/line")
}

func BenchmarkParseJoin(b *testing.B) {
	log := benchLog(b)
	lines := bytes.Count(log, []byte("\n"))
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	var ev Event
	j := NewJoiner()
	j.Source(1, SourceOptions{Reference: 1_700_000_000})
	seq, mark := uint64(0), int64(0)
	for b.Loop() {
		for rest := log; len(rest) > 0; {
			i := bytes.IndexByte(rest, '\n') + 1
			if i == 0 {
				i = len(rest)
			}
			seq++
			if Parse(rest[:i], &ev) {
				j.Join(1, seq, mark, &ev)
				j.Keep()
				mark = ev.Time
			}
			rest = rest[i:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
}

// BenchmarkLine measures single forms.
func BenchmarkLine(b *testing.B) {
	for _, l := range []struct{ name, line string }{
		{"qmgr removed", "Nov 23 08:58:47 mx1 postfix/qmgr[17753]: 2D503A12696: removed"},
		{"spamd", "Nov 23 08:58:47 mx1 spamd[771]: spamd: result: . 0 - BAYES_50 scantime=1.0,size=2048"},
		{"connect", "Nov 23 08:58:47 mx1 postfix/smtpd[17779]: connect from unknown[192.0.2.60]"},
		{"connect 6", "Nov 23 08:58:47 mx1 postfix/smtpd[17779]: connect from unknown[2001:db8:51::24]"},
		{"disconnect", "Nov 23 08:58:47 mx1 postfix/smtpd[17779]: disconnect from unknown[192.0.2.75] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"},
		{"reject", "Nov 23 08:58:47 mx1 postfix/smtpd[17779]: NOQUEUE: reject: RCPT from unknown[192.0.2.76]: 550 5.1.1 <a0@example.net>: Recipient address rejected: User unknown in local recipient table; from=<u@example.com> to=<a0@example.net> proto=ESMTP helo=<client.example>"},
	} {
		b.Run(l.name, func(b *testing.B) {
			line := []byte(l.line)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			var ev Event
			for b.Loop() {
				Parse(line, &ev)
			}
		})
	}
}
