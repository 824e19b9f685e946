"""What the commands beside the conversion share: reading their own flags."""

from absl import flags


def parse(values: flags.FlagValues, argv: list[str], doc: str | None) -> bool:
    """Reads argv (as sys.argv) into `values`; False if only help was asked for, which is printed.

    flags.Error for flags that are wrong; ValueError for words that are no flags.
    """
    if {'--help', '-help', '-h'} & set(argv):
        print(f'{doc}\n{values.get_help()}')
        return False
    rest = values(argv)[1:]
    if rest:
        raise ValueError(f'unexpected arguments: {" ".join(rest)}; this command takes only flags')
    return True
