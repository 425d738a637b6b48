package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/config"
)

// TestExplainOfALongLog: the first line of a log that was written for eleven
// months is of this year, as in a replay, not of the next.
func TestExplainOfALongLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail.log")
	var log strings.Builder
	first := time.Date(2026, 1, 10, 8, 0, 0, 0, time.UTC)
	for day := range 321 {
		fmt.Fprintf(&log, "%s mx1 postfix/smtpd[7]: connect from unknown[192.0.2.7]\n", first.AddDate(0, 0, day).Format(time.Stamp))
	}
	if err := os.WriteFile(file, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	written := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(file, written, written); err != nil {
		t.Fatal(err)
	}
	rules, err := (&loaded{config.Default(), ""}).rules()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	x := &explainer{w: &out, errs: io.Discard, json: true, rules: rules, loc: time.UTC}
	if err := x.lines(t.Context(), file, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2026-01-10T08:00:00Z", "2026-11-26T08:00:00Z"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line of %s, but %.300s", want, &out)
		}
	}
}
