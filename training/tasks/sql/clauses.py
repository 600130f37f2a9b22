"""Conditions, orders and limits of a request for rows."""

ABOVE = (
    "{col} is [greater than|more than|larger than|above|over|bigger than|higher than] {value}",
    "{col} > {value}",
    "{col} [above|over|greater than|more than] {value}",
    "{col} exceeds {value}",
    "the {col} is [more than|over|above|greater than] {value}",
    "{col} larger than {value}",
    "{col} is higher than {value}",
    "{col} is beyond {value}",
    "{col} is over {value}",
    "{value} < {col}",
)
BELOW = (
    "{col} is [less than|smaller than|below|under|lower than] {value}",
    "{col} < {value}",
    "{col} [below|under|less than|smaller than] {value}",
    "{col} is not even {value}",
    "the {col} is [less than|under|below|smaller than] {value}",
    "{col} lower than {value}",
    "{col} is smaller than {value}",
    "{col} is beneath {value}",
    "{col} is under {value}",
    "{value} > {col}",
)
EQUAL = (
    "{col} is {value}",
    "{col} = {value}",
    "{col} equals {value}",
    "{col} is equal to {value}",
    "the {col} is {value}",
    "{col} == {value}",
    "{col} is exactly {value}",
    "{col} matches {value}",
    "{col}={value}",
    "{col} has the value {value}",
)
AT_LEAST = (
    "{col} is at least {value}",
    "{col} >= {value}",
    "{col} is {value} or more",
    "{col} is no less than {value}",
    "{col} is not below {value}",
    "{col} is greater than or equal to {value}",
)
AT_MOST = (
    "{col} is at most {value}",
    "{col} <= {value}",
    "{col} is {value} or less",
    "{col} is no more than {value}",
    "{col} is not above {value}",
    "{col} is less than or equal to {value}",
)
DIFFERENT = (
    "{col} is not {value}",
    "{col} != {value}",
    "{col} is different from {value}",
    "{col} is anything but {value}",
    "{col} does not equal {value}",
    "{col} <> {value}",
)
BETWEEN = (
    "{col} is between {low} and {high}",
    "{col} between {low} and {high}",
    "{col} is from {low} to {high}",
    "{col} lies between {low} and {high}",
    "{col} is in the range {low} to {high}",
    "the {col} is between {low} and {high}",
)
STARTS = (
    "{col} starts with {part}",
    "{col} begins with {part}",
    "the {col} starts with {part}",
    "{col} begins with the letters {part}",
    "{part} is the start of the {col}",
    "the {col} begins with {part}",
)
CONTAINS = (
    "{col} contains {part}",
    "{col} includes {part}",
    "{part} is in the {col}",
    "{col} has {part} in it",
    "the {col} contains {part}",
    "{col} contains the text {part}",
)
ENDS = (
    "{col} ends with {part}",
    "{col} ends in {part}",
    "the {col} ends with {part}",
    "{part} is the end of the {col}",
    "the {col} ends in {part}",
    "{col} has {part} at the end",
)
MISSING = (
    "{col} is null",
    "{col} is missing",
    "there is no {col}",
    "{col} is NULL",
    "{col} is empty",
    "the {col} is missing",
    "{col} is not set",
)
PRESENT = (
    "{col} is not null",
    "there is a {col}",
    "{col} is not missing",
    "{col} is set",
    "{col} is present",
    "the {col} is not null",
    "{col} is known",
)
ORDERS = (
    " [sorted|ordered] by {col}",
    " in order of {col}",
    ", [sorted|ordered] by {col}",
    " order by {col}",
    ", sort by {col}",
    " and [sort|order] [them|] by {col}",
    " sorted by {col} [ascending|from low to high|in ascending order]",
    ", lowest {col} first",
    " by {col} ascending",
    ", smallest {col} first",
    " arranged by {col}",
    ", by {col}",
)
ORDERS_DOWN = (
    " [sorted|ordered] by {col} [descending|desc|in descending order|from high to low]",
    " in descending order of {col}",
    ", [sorted|ordered] by {col} descending",
    " order by {col} desc",
    ", sort by {col} [descending|desc]",
    " and [sort|order] [them|] by {col} descending",
    ", highest {col} first",
    " by {col} descending",
    ", reverse order of {col}",
    ", largest {col} first",
    " sorted by {col}, descending",
    " arranged by {col} from high to low",
)
LIMITS = (
    ", [only |]the first {n}[ rows| results|]",
    ", limit {n}",
    " limit {n}",
    ", [at most|no more than|only|just] {n} [rows|results]",
    ", limited to {n}[ rows| results|]",
    ", first {n} [rows|only]",
    ", {n} rows",
    " and [take|show|keep] [only |]the first {n}",
    ", max {n} [rows|results]",
    ", but only {n}[ rows| of them]",
    ", not more than {n}",
    ", top {n} [rows|only]",
)
