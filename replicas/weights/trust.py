"""Whose fault a wrong checksum is. PURE."""


class Trust:
    """Who may still send a file after it came wrong.

    Bytes of one host alone speak against that host. Bytes of several, or of an earlier process, speak against nobody:
    from then on the file must come from one host alone.
    """

    def __init__(self, *, begun_before: bool) -> None:
        self.alone = False
        """The file must not be continued from another host."""
        self._givers = {""} if begun_before else set[str]()
        self._distrusted: set[str] = set()

    def allows(self, address: str) -> bool:
        return address not in self._distrusted

    def gave(self, address: str) -> None:
        """The host gave bytes of what is here now."""
        self._givers.add(address)

    def began_again(self) -> None:
        """Nothing is here any more."""
        self._givers = set()

    def was_wrong(self) -> str:
        """The whole file was not what it should be, and is begun again. Returns ` from ADDRESS` if that is to blame."""
        givers = self._givers
        self.began_again()
        if len(givers) == 1 and "" not in givers:
            self._distrusted |= givers
            return f" from {next(iter(givers))}"
        self.alone = True
        return ""
