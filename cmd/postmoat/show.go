package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// How things are written for people. JSON for programs is [writeJSON].

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// clean takes out of a text what could move the cursor of a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// clock writes a time in the zone of the reader, as short as the distance to
// now allows.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	d := t.Sub(now).Abs()
	switch {
	case t.YearDay() == now.YearDay() && d < 24*time.Hour:
		return t.Format("15:04")
	case d < 6*24*time.Hour:
		return t.Format("Mon 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// span writes a duration with its two largest units: "3h 5m".
func span(d time.Duration) string {
	d = d.Abs().Round(time.Second)
	const day = 24 * time.Hour
	two := func(big int64, b string, small int64, s string) string {
		if small == 0 {
			return fmt.Sprintf("%d%s", big, b)
		}
		return fmt.Sprintf("%d%s %d%s", big, b, small, s)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return two(int64(d/time.Minute), "m", int64(d%time.Minute/time.Second), "s")
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return two(int64(d/time.Hour), "h", int64(d%time.Hour/time.Minute), "m")
	case d < 10*day:
		return two(int64(d/day), "d", int64(d%day/time.Hour), "h")
	}
	return fmt.Sprintf("%dd", d/day)
}

// ahead writes when something will be: "14:05 (in 43m)".
func ahead(t *time.Time, now time.Time) string {
	if t == nil {
		return "no end"
	}
	if !t.After(now) {
		return clock(*t, now) + " (now)"
	}
	return clock(*t, now) + " (in " + span(t.Sub(now)) + ")"
}

// ago writes when something was: "13:05 (17m ago)".
func ago(t, now time.Time) string {
	if t.After(now) {
		return clock(t, now)
	}
	return clock(t, now) + " (" + span(now.Sub(t)) + " ago)"
}

// several counts things: "1 member", "3 members".
func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(uint64(n)) + " " + what + "s"
}

// number groups the digits of a number: 1,234,567.
func number(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes: "24.3 MiB".
func size(n uint64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x := float64(n) / 1024
	i := 0
	for x >= 1024 && i < len(units)-1 {
		x /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", x, units[i])
}

// wrapped writes a paragraph in lines of at most 96 columns, each indented.
func wrapped(w io.Writer, indent, text string) {
	line := indent
	for _, word := range strings.Fields(clean(text)) {
		if len(line)+1+len(word) > 96 && line != indent {
			fmt.Fprintln(w, line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	if line != indent {
		fmt.Fprintln(w, line)
	}
}

// prefixes counts prefixes.
func prefixes(n int) string {
	if n == 1 {
		return "1 prefix"
	}
	return number(uint64(n)) + " prefixes"
}
