package rule

import (
	"fmt"
	"strings"
)

// An Error is one thing wrong with one rule.
type Error struct {
	Pos  Pos
	Rule string // its name, "" when it has none
	Msg  string // what is wrong: what to write instead
}

func (e *Error) Error() string {
	if e.Rule == "" {
		return fmt.Sprintf("%s: %s", e.Pos, e.Msg)
	}
	return fmt.Sprintf("%s: rule %q: %s", e.Pos, e.Rule, e.Msg)
}

// DidYouMean is `: did you mean "x"?` for the word of known that word was
// likely meant to be, and "" when none is near.
func DidYouMean(word string, known []string) string {
	best, dist := "", len(word)/3+1
	low := strings.ToLower(word)
	if len(low) > 64 {
		return ""
	}
	for _, k := range known {
		if d := editDistance(low, strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// editDistance is the Levenshtein distance, where swapping two neighbours
// counts once.
func editDistance(a, b string) int {
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(old[j+1]+1, row[j]+1, old[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}
