package maillog

// stamp3164 reads "Nov  5 08:46:49" with an optional fraction; the day may be
// padded with a blank (syslog) or a zero (postlogd). n is the length, 0 when
// b does not begin with a stamp.
func stamp3164(b []byte, s *Stamp) (n int) {
	if len(b) < 16 || b[3] != ' ' || b[6] != ' ' {
		return 0
	}
	// The eight bytes of the clock, less what must stand there, are digits
	// and two zeros.
	w := load(b, 7) ^ ('0'*each&^colons | ':'*(1<<16|1<<40))
	d1, d2 := b[4]-'0', b[5]-'0'
	if b[4] == ' ' {
		d1 = 0
	}
	if noDigit(w)|w&colons != 0 || d1 > 9 || d2 > 9 {
		return 0
	}
	w = w*10 + w>>8 // of each two digits
	h, m, sec := int32(w&0xff), int32(w>>24&0xff), int32(w>>48&0xff)
	month, day := monthOf(b[0], b[1], b[2]), d1*10+d2
	if month == 0 || h > 23 || m > 59 || sec > 60 || day-1 > 27 && (day == 0 || int(day) > monthLen(2000, int(month))) {
		return 0
	}
	*s = Stamp{Month: month, Day: day, Second: h*3600 + m*60 + sec, Offset: NoOffset}
	if b[15] == ' ' {
		return 15
	}
	return 15 + fraction(b[15:], s)
}

// colons are the places of the colons in "08:46:49".
const colons = 0xff<<16 | 0xff<<40

// stampISO reads an RFC 3339 time with any fraction; the offset may lack its
// colon (journalctl) or be missing altogether, and a blank may stand for the
// T.
func stampISO(b []byte, s *Stamp) (n int) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' {
		return 0
	}
	century, ok1 := two(b)
	year, ok2 := two(b[2:])
	month, ok3 := two(b[5:])
	day, ok4 := two(b[8:])
	sec, ok5 := clock(b[11:])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || month < 1 || month > 12 ||
		day < 1 || day > monthLen(century*100+year, month) {
		return 0
	}
	*s = Stamp{Year: int16(century*100 + year), Month: uint8(month), Day: uint8(day), Second: sec, Offset: NoOffset}
	n = 19 + fraction(b[19:], s)
	if s.Year == 0 || n >= len(b) {
		return 0
	}
	switch b[n] {
	case 'Z':
		s.Offset = 0
		return n + 1
	case '+', '-':
		o, m := zoneOffset(b[n:])
		if m < len("+0000") {
			return 0
		}
		s.Offset = o
		return n + m
	}
	return n
}

// zoneOffset reads "+05:30", "+0530" or "-03" in seconds east of UTC; n is its
// length, 0 when b begins with none.
func zoneOffset(b []byte) (offset int32, n int) {
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return 0, 0
	}
	hh, ok := two(b[1:])
	if !ok || hh > 15 {
		return 0, 0
	}
	n = 3
	m := b[n:]
	if len(m) > 0 && m[0] == ':' {
		m = m[1:]
	}
	if len(m) >= 2 {
		if mm, ok := two(m); ok && mm <= 59 {
			offset = int32(mm * 60)
			n = len(b) - len(m) + 2
		}
	}
	offset += int32(hh * 3600)
	if b[0] == '-' {
		offset = -offset
	}
	return offset, n
}

// stampUnix reads "1795423560.423209" (journalctl -o short-unix).
func stampUnix(b []byte, s *Stamp) (n int) {
	sec := int64(0)
	for n < len(b) && b[n]-'0' <= 9 {
		if n == 11 {
			return 0
		}
		sec = sec*10 + int64(b[n]-'0')
		n++
	}
	if n < 9 || n >= len(b) || b[n] != '.' {
		return 0
	}
	y, m, d := civil(sec / 86400)
	*s = Stamp{Year: int16(y), Month: uint8(m), Day: uint8(d), Second: int32(sec % 86400)}
	return n + fraction(b[n:], s)
}

// clock reads "08:46:49"; 60 seconds are a leap second.
func clock(b []byte) (sec int32, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, false
	}
	h, ok1 := two(b)
	m, ok2 := two(b[3:])
	s, ok3 := two(b[6:])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return 0, false
	}
	return int32(h*3600 + m*60 + s), true
}

// fraction reads "." and digits into Nano; n is 0 when there is none.
func fraction(b []byte, s *Stamp) (n int) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || b[1]-'0' > 9 {
		return 0
	}
	nano, scale := int32(0), int32(100_000_000)
	for n = 1; n < len(b) && b[n]-'0' <= 9; n++ {
		nano += int32(b[n]-'0') * scale
		scale /= 10
	}
	s.Nano = nano
	return n
}

func two(b []byte) (v int, ok bool) {
	hi, lo := b[0]-'0', b[1]-'0'
	return int(hi)*10 + int(lo), hi <= 9 && lo <= 9
}

func monthOf(a, b, c byte) uint8 {
	switch uint32(a)<<16 | uint32(b)<<8 | uint32(c) {
	case 'J'<<16 | 'a'<<8 | 'n':
		return 1
	case 'F'<<16 | 'e'<<8 | 'b':
		return 2
	case 'M'<<16 | 'a'<<8 | 'r':
		return 3
	case 'A'<<16 | 'p'<<8 | 'r':
		return 4
	case 'M'<<16 | 'a'<<8 | 'y':
		return 5
	case 'J'<<16 | 'u'<<8 | 'n':
		return 6
	case 'J'<<16 | 'u'<<8 | 'l':
		return 7
	case 'A'<<16 | 'u'<<8 | 'g':
		return 8
	case 'S'<<16 | 'e'<<8 | 'p':
		return 9
	case 'O'<<16 | 'c'<<8 | 't':
		return 10
	case 'N'<<16 | 'o'<<8 | 'v':
		return 11
	case 'D'<<16 | 'e'<<8 | 'c':
		return 12
	}
	return 0
}

// days counts the days from 1970-01-01 to a date of the proleptic Gregorian
// calendar (Howard Hinnant's days_from_civil); civil is its inverse.
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := floorDiv(int64(y), 400)
	yoe := int64(y) - era*400
	doy := int64((153*((m+9)%12)+2)/5 + d - 1)
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

func civil(z int64) (y, m, d int) {
	z += 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = int(doy - (153*mp+2)/5 + 1)
	m = int(mp+2)%12 + 1
	y = int(yoe + era*400)
	if m <= 2 {
		y++
	}
	return y, m, d
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func leap(y int) bool {
	return y%4 == 0 && (y%100 != 0 || y%400 == 0)
}

func monthLen(y, m int) int {
	switch m {
	case 2:
		if leap(y) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
