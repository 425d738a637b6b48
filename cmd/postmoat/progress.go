package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress draws a bar on a terminal. done takes it away.
func progress(w io.Writer) (show func(read, total int64), done func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	b := &bar{w: f, began: time.Now()}
	return func(read, total int64) { b.show(read, total, time.Now()) }, b.done
}

// A bar is one line that says how far reading has come.
type bar struct {
	w     io.Writer
	began time.Time
	drawn string
}

const barWidth = 30

func (b *bar) show(read, total int64, now time.Time) {
	if b.w == nil {
		return
	}
	line := "reading " + megabytes(read)
	if total > 0 {
		part := min(float64(read)/float64(total), 1)
		line = fmt.Sprintf("reading %3.f%% [%-*s] %s of %s", part*100, barWidth, strings.Repeat("#", int(part*barWidth)), megabytes(read), megabytes(total))
		if took := now.Sub(b.began); part > 0 && took >= time.Second {
			line += ", " + (time.Duration(float64(took) * (1/part - 1))).Round(time.Second).String() + " left"
		}
	}
	if line != b.drawn {
		b.draw(line)
	}
}

// draw puts a line in place of the last one.
func (b *bar) draw(line string) {
	b.drawn = line
	if _, err := io.WriteString(b.w, "\r\x1b[K"+line); err != nil {
		b.w = nil // a terminal that went away needs no bar
	}
}

func (b *bar) done() {
	if b.w != nil && b.drawn != "" {
		b.draw("")
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+500_000)/1_000_000) }
