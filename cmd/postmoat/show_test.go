package main

import (
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/control"
)

// TestTimes: what a tired administrator reads.
func TestTimes(t *testing.T) {
	now := time.Date(2026, 11, 28, 1, 20, 0, 0, time.Local)
	for d, want := range map[time.Duration]string{
		43 * time.Minute:                 "02:03 (in 43m)",
		90 * time.Second:                 "01:21 (in 1m 30s)",
		20 * time.Second:                 "01:20 (in 20s)",
		3*time.Hour + 5*time.Minute:      "04:25 (in 3h 5m)",
		23*time.Hour + 59*time.Minute:    "Sun 01:19 (in 23h 59m)",
		36 * time.Hour:                   "Sun 13:20 (in 1d 12h)",
		30 * 24 * time.Hour:              "2026-12-28 01:20 (in 30d)",
		-time.Second:                     "01:19 (now)",
		0:                                "01:20 (now)",
		365*24*time.Hour + 3*time.Second: "2027-11-28 01:20 (in 365d)",
	} {
		at := now.Add(d)
		if got := ahead(&at, now); got != want {
			t.Errorf("%v ahead: %q, want %q", d, got, want)
		}
	}
	if got := ahead(nil, now); got != "no end" {
		t.Errorf("%q", got)
	}
	if got := ago(now.Add(-3*time.Hour), now); got != "Fri 22:20 (3h ago)" {
		t.Errorf("%q", got)
	}
}

// TestNumbers groups digits and bytes.
func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 25 << 20: "25.0 MiB", 1 << 62: "4194304.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestStanding: what stands against offences are messages, once for each of
// their recipients, as shares count them.
func TestStanding(t *testing.T) {
	var b strings.Builder
	s := control.Standing{Door: "smtp", Window: "day", Span: 86400, Client: "192.0.2.1", Score: 4.5, Limit: 30, Events: 5, Accepted: 12}
	if !showStanding(&b, &s, time.Time{}) || b.String() != "Door smtp, window day (1d): it has 4.5 of 30, by 5 events beside 12 recipients of accepted messages.\n" {
		t.Errorf("%q", b.String())
	}
}

// TestClean: nothing that comes from elsewhere moves the cursor.
func TestClean(t *testing.T) {
	if got := clean("a\x1b[2Jb\r\n\tü\x00\xff\u202e"); got != "a?[2Jb???ü???" {
		t.Errorf("%q", got)
	}
	var b strings.Builder
	wrapped(&b, "    ", strings.Repeat("word ", 40)+strings.Repeat("x", 200)+"\x1b[31m")
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "    ") || strings.Contains(line, "\x1b") || len(line) > 97 && !strings.Contains(line, "xxx") {
			t.Errorf("%q", line)
		}
	}
}
